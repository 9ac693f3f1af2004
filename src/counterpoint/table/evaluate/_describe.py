"""What the table and the trained network look like: columns, embeddings, training curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from counterpoint.findings import (
    AlarmFindings,
    BalanceFindings,
    ColumnFindings,
    EmbeddingMap,
    EpochRow,
)
from counterpoint.nn import TableNet
from counterpoint.table.columns import NumericColumn, Schema, Table, UsableColumn
from counterpoint.table.columns._levels import describe_levels
from counterpoint.table.evaluate._measures import finite
from counterpoint.train import BalanceLog, Row

_POINTS = 200
_MATRICES = 40
_WIDE = 12


UNDRAWN = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What a figure may fail with; the model is not lost with it."""


def describe_columns(table: Table) -> list[ColumnFindings]:
    """Kind, role, missing cells and how the values are spread, of every column."""
    found = list[ColumnFindings]()
    for column in table.schema.columns:
        summary, bins = "left out, as told" if column.note == "told" else column.note, None
        if column.role == "split":
            summary, bins = describe_levels(table.values[column.name])
        elif column.role != "ignored" and isinstance(column, UsableColumn):
            try:
                summary, bins = column.describe(table.values[column.name])
            except UNDRAWN as error:
                summary = f"cannot be described: {error!s:.100}"
        missing = table.missing[column.name]
        found.append(ColumnFindings(column.name, column.kind, column.role, missing, summary, bins))
    return found


@dataclass(frozen=True)
class TrainingSummary:
    """How the training of all members went.

    Attributes:
        status: how it ended, in words.
        best_epoch: the middle one of the members' best epochs.
        seconds: time of training.
        histories: each member's log, a row an epoch.
        balance: how the targets shared the steps of the first member; None for the plain mean.
    """

    status: str
    best_epoch: int | None
    seconds: float
    histories: Sequence[Sequence[Row]]
    balance: BalanceLog | None = None


def describe_balance(balance: BalanceLog | None) -> BalanceFindings | None:
    """How the targets shared the steps, as findings; of many targets only three matrices."""
    if balance is None:
        return None
    most = _MATRICES if len(balance.names) <= _WIDE else 3
    places = np.unique(np.linspace(0, len(balance.steps) - 1, most).round().astype(int)).tolist()
    return BalanceFindings(
        rule=balance.rule,
        source=balance.source,
        goals=list(balance.names),
        step=list(balance.steps),
        losses=_curves(balance.names, balance.losses),
        weights=_curves(balance.names, balance.weights),
        control=_curves(balance.names, balance.control),
        cosine_step=[balance.steps[place] for place in places],
        cosines=[
            [[finite(value) for value in row] for row in balance.cosines[place].tolist()]
            for place in places
        ],
        alarms=[
            AlarmFindings(
                step, alarm.failure.word, list(alarm.goals), alarm.failure.sentence, alarm.remedy
            )
            for step, alarm in balance.alarms
            if not alarm.over
        ],
    )


def _curves(names: Sequence[str], values: Tensor) -> dict[str, list[float | None]]:
    columns = values.T.tolist()
    return {
        name: [finite(value) for value in column]
        for name, column in zip(names, columns, strict=True)
    }


def describe_history(histories: Sequence[Sequence[Row]]) -> list[EpochRow]:
    """The members' epochs as findings: the mean over the members still training."""
    longest = max((len(history) for history in histories), default=0)
    epochs = [[h[place] for h in histories if place < len(h)] for place in range(longest)]
    return [
        EpochRow(
            epoch=rows[0]["epoch"],
            rate=rows[0]["rate"],
            seconds=sum(row["seconds"] for row in rows) - sum(row["seconds"] for row in before),
            train=_means([row["train"] for row in rows]),
            validation=_means([row["validation"] or {} for row in rows]) or None,
        )
        for before, rows in zip([[], *epochs], epochs, strict=False)
    ]


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    return {name: finite(sum(row[name] for row in rows) / len(rows)) for name in rows[0]}


def describe_embeddings(network: TableNet, schema: Schema, codes: Tensor) -> list[EmbeddingMap]:
    """Where each column's levels lie in the first two principal components of its embedding.

    Levels are weighted by their rows; each component's sign is chosen so that its largest
    loading is positive, since it is arbitrary otherwise.

    Args:
        network: the trained network.
        schema: its columns.
        codes: category codes of the rows to count, (N, C).
    """
    maps: list[EmbeddingMap] = []
    for place, (name, spec) in enumerate(schema.embeddings):
        labels = spec.labels
        counts = torch.bincount(codes[:, place], minlength=len(labels))
        known = [code for code in range(len(labels)) if counts[code] > 0]
        # numbers have an order of their own, and need no map
        if len(known) < 3 or isinstance(schema.column(name), NumericColumn):
            continue
        known = sorted(known, key=lambda code: -int(counts[code]))[:_POINTS]
        table = network.embeddings.weights[place].detach().double()[known]
        weight = counts[known].double()
        xy, explained = _principal(table, weight)
        maps.append(
            EmbeddingMap(
                column=name,
                labels=[labels[code] for code in known],
                x=xy[:, 0].tolist(),
                y=xy[:, 1].tolist(),
                count=[int(n) for n in weight],
                explained=explained,
            )
        )
    return maps


def _principal(table: Tensor, weight: Tensor) -> tuple[Tensor, list[float]]:
    share = weight / weight.sum()
    centred = table - share @ table
    _, singular, loadings = torch.linalg.svd(centred * share.sqrt()[:, None], full_matrices=False)
    axes = loadings[:2]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    total = float(singular.square().sum()) or 1.0
    return centred @ axes.T, [float(s) ** 2 / total for s in singular[:2]]
