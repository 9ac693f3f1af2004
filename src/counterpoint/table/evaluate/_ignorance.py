"""The map of ignorance: missing knowledge over the inputs that matter, and far from known rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint.findings import IgnoranceMap, Importance
from counterpoint.nn import TableNet
from counterpoint.seeding import generator
from counterpoint.table.columns import ParsedColumn, Table, UsableColumn
from counterpoint.table.evaluate._measures import finite
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._model import TableModel
from counterpoint.table.model._network import compute_encoded
from counterpoint.table.targets._prediction import Prediction

_TARGETS = 4
_CELLS = 24
_LINE = 96
_POINTS = 250
_NEIGHBOURS = 5
_KNOWN = 10_000
_ENTRIES = 2**24
"""Most encoded entries of the known rows: 64 MB, and as much again while neighbours are found."""

_HELD = 1_000
_DRAWN = 300
_BEYOND = 0.15


def map_ignorance(
    model: TableModel,
    table: Table,
    prepared: Prepared,
    importance: Sequence[Importance],
    predictions: Mapping[str, Prediction],
) -> list[IgnoranceMap]:
    """One map a target, for the first few.

    The grid spans the two numeric inputs that matter most to the target (in the table's order
    where nothing was measured), from the 1st to the 99th percentile of the training rows and 15 %
    of that beyond on either side; every other input is at its median or commonest level.

    Distances are between what the network is given (standardised numbers, their bins, embeddings):
    the mean over the 5 nearest of the rows that were learnt from, divided by the median of the same
    among those themselves.

    Args:
        model: the fitted model.
        table: the whole table, under the model's columns.
        prepared: its tensors and split.
        importance: how much each input matters.
        predictions: of the held-out rows; empty where there are none.
    """
    most = min(_KNOWN, max(_DRAWN, _ENTRIES // model.members[0].network.inputs))
    places = _sample(torch.from_numpy(prepared.rows.train), most).numpy()
    apart = _distances(model, prepared, places)
    return [
        _far(
            _grid(model, table, places, column.name, _axes(model, importance, column.name)),
            apart,
            predictions.get(column.name),
        )
        for column in model.schema.targets[:_TARGETS]
    ]


def _axes(model: TableModel, importance: Sequence[Importance], target: str) -> list[UsableColumn]:
    """Up to two numbers that vary, the one that matters most first."""
    numbers = [
        column
        for column in model.schema.inputs
        if column.head_type is not None and column.ordered and len(column.edges[0]) > 1
    ]
    rises = {item.column: item.mean for item in importance if item.target == target}
    return sorted(numbers, key=lambda column: -rises.get(column.name, 0.0))[:2]


def _grid(
    model: TableModel, table: Table, rows: np.ndarray, target: str, axes: Sequence[UsableColumn]
) -> IgnoranceMap:
    if not axes:
        return IgnoranceMap(target)
    values = [table.values[column.name].data[rows] for column in axes]
    ticks = [_ticks(one, _CELLS if len(axes) == 2 else _LINE) for one in values]
    across, up = ticks[0], ticks[1] if len(axes) == 2 else np.zeros(1)
    others = {c.name: c.typical(table.values[c.name].take(rows)) for c in model.schema.inputs}
    count = len(across) * len(up)
    made = {name: value.take(np.zeros(count, dtype=int)) for name, value in others.items()}
    spans = [np.tile(across, len(up)), np.repeat(up, len(across))]
    for column, span in zip(axes, spans, strict=False):
        made[column.name] = ParsedColumn(span, np.zeros(count, dtype=bool))
    grid = Table(model.schema, made, {}, count)
    knowledge = model.predict_encoded(grid.encode())[target].knowledge
    both = ~np.isnan(np.stack(values)).any(0)
    points = np.flatnonzero(both)[:: max(1, int(both.sum()) // _POINTS)][:_POINTS]
    return IgnoranceMap(
        target,
        columns=axes[0].name,
        rows=axes[1].name if len(axes) == 2 else None,
        x=across.tolist(),
        y=up.tolist() if len(axes) == 2 else [],
        knowledge=knowledge.reshape(len(up), len(across)).tolist(),
        others={c.name: _shown(c, others[c.name]) for c in model.schema.inputs if c not in axes},
        point_x=values[0][points].tolist(),
        point_y=values[1][points].tolist() if len(axes) == 2 else [],
    )


def _shown(column: UsableColumn, value: ParsedColumn) -> str:
    return "missing" if value.missing[0] else column.show(value.data[0])[:60]


def _ticks(values: np.ndarray, count: int) -> np.ndarray:
    low, high = np.nanquantile(values, [0.01, 0.99])
    if not low < high:
        low, high = np.nanmin(values), np.nanmax(values)
    apart = _BEYOND * (high - low)
    return np.linspace(low - apart, high + apart, count)


def _distances(
    model: TableModel, prepared: Prepared, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Places among the held-out rows, and their distances; None without enough rows."""
    test = torch.from_numpy(prepared.rows.test)
    if len(test) < 8 or len(known) < 8:
        return None
    chosen = _sample(torch.arange(len(test)), _HELD)
    network = model.members[0].network
    own = _encoded(prepared, torch.from_numpy(known), network)
    count = min(_NEIGHBOURS, len(known) - 1)
    points = _encoded(prepared, test[chosen], network)
    from counterpoint.estimators import neighbour_distance  # scikit-learn, which is slow to import

    # in the units of the network's first layer: what it was given small, it was given small
    some = own[:: max(1, len(own) // _HELD)]
    # one neighbour more, and weighed so: a known row is its own nearest, at distance zero
    near = neighbour_distance(own, some, neighbours=count + 1, standardise=False)
    spacing = np.median(near) * (count + 1) / count
    found = neighbour_distance(own, points, neighbours=count, standardise=False)
    return chosen.numpy(), found / max(float(spacing), 1e-12)


def _encoded(prepared: Prepared, rows: Tensor, network: TableNet) -> np.ndarray:
    inputs = {name: value[rows] for name, value in prepared.inputs.items()}
    return compute_encoded(network, inputs).numpy()


def _far(
    found: IgnoranceMap,
    apart: tuple[np.ndarray, np.ndarray] | None,
    prediction: Prediction | None,
) -> IgnoranceMap:
    if apart is None or prediction is None:
        return found
    places, distance = apart
    missing = prediction.knowledge[places]
    order = np.argsort(distance, kind="stable")
    quarter = max(1, len(order) // 4)
    varies = distance.std() > 0 and missing.std() > 0
    from scipy.stats import spearmanr  # slow to import, and predictions do without

    rank: Any = spearmanr(distance, missing) if varies else None
    drawn = np.linspace(0, len(places) - 1, min(len(places), _DRAWN)).astype(int)
    return replace(
        found,
        distance=distance[drawn].tolist(),
        missing=missing[drawn].tolist(),
        near=finite(float(np.median(missing[order[:quarter]]))),
        far=finite(float(np.median(missing[order[-quarter:]]))),
        agreement=finite(float(rank.statistic)) if varies else None,
    )


def _sample(rows: Tensor, most: int) -> Tensor:
    """At most so many of the rows, drawn without replacement, in their order."""
    if len(rows) <= most:
        return rows
    drawn = torch.randperm(len(rows), generator=generator(0, 8))[:most]
    return rows[drawn.sort().values]
