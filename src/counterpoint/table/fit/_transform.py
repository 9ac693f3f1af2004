"""On which scale a number is predicted: as told, or as rows that were left out speak for.

The choice is made before any training. A last layer on the features of an untrained network
predicts a fifth of the training rows at a time on every scale; their log densities, in the column's
own units, decide. That costs one pass through a network and five small decompositions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from counterpoint.errors import InputError, nearest
from counterpoint.posterior import LastLayer, Statistics
from counterpoint.recipe import Recipe
from counterpoint.seeding import derive, generator, seeded
from counterpoint.table.columns import Number, Table
from counterpoint.table.columns._schema import Schema
from counterpoint.table.model._network import build_network, compute_features
from counterpoint.table.targets._transform import Transform

_ROWS = 4096
_FOLDS = 5
_GAIN = 0.2
"""Nats a row by which another scale must be better: below that the plain one is as good."""

_ALIKE = 5.0
"""Numbers whose greatest is not so many times the least are nearly the same on every scale."""

_POWERS = (1 / 2, 1 / 3)
_COUNTS = ("poisson", "negative-binomial")


def with_transforms(
    table: Table,
    inputs: Mapping[str, Tensor],
    recipe: Recipe,
    train: np.ndarray,
    weight: np.ndarray,
) -> Table:
    """The table under columns that know on which scale they are predicted.

    Args:
        table: under columns that have learnt.
        inputs: encoded, of all its rows.
        recipe: what was told.
        train: places of the training rows.
        weight: of all rows.

    Raises:
        InputError: a distribution is told of a column that is no number to predict, or of one with
            values that it excludes.
    """
    told = _told(table, recipe.data.distribution)
    # one pass through a network for all targets, and none where nothing is to be chosen
    features = cache(lambda: _features(table.schema, inputs, recipe))
    columns = list(table.schema.columns)
    for place, column in enumerate(columns):
        if column.role != "target" or not isinstance(column, Number):
            continue
        values, way = table.values[column.name], told.get(column.name, "auto")
        where = f"{table.where}: target {column.name!r}: a {way} number"
        # a row of no weight has no say, as everywhere
        rows = train[~values.missing[train] & (weight[train] > 0)]
        if way in _COUNTS:
            _refuse_no_count(values.data[rows], recipe, where)
            columns[place] = replace(column, counted=way)
            continue
        scales = _candidates(values.data[rows], weight[rows], way)
        if not scales:
            raise InputError(
                f"{where} is never below 0, found {float(values.data[rows].min()):g}; use normal"
            )
        if len(scales) > 1:
            chosen = _drawn(rows, recipe.training.seed)
            scales = [_best(features()[chosen], values.data[chosen], weight[chosen], scales)]
        columns[place] = replace(column, transform=scales[0])
    return replace(table, schema=Schema(tuple(columns)))


def _refuse_no_count(values: np.ndarray, recipe: Recipe, where: str) -> None:
    """Refuse what is no count, and kinds of uncertainty that know none."""
    wrong = values[(values < 0) | (values % 1 != 0)]
    if len(wrong):
        raise InputError(
            f"{where} is a whole number of at least 0, found {float(wrong[0]):g}; use normal or"
            " log-normal"
        )
    kind = recipe.posterior.uncertainty
    if kind not in ("last-layer", "luna"):
        raise InputError(f"{where} needs uncertainty last-layer or luna, not {kind}")


def _told(table: Table, entries: Sequence[str]) -> dict[str, str]:
    """Target -> the distribution that was told."""
    known = {column.name: column for column in table.schema.targets}
    told = dict[str, str]()
    for entry in sorted(entries, key=lambda entry: "=" in entry):
        name, sign, way = entry.rpartition("=")
        if sign and name not in known:
            raise InputError(
                f"{table.where}: distribution {entry!r}: no target {name!r}{nearest(name, known)}"
            )
        for target in [name] if sign else known:
            if isinstance(known[target], Number):
                told[target] = way
            elif sign:
                raise InputError(
                    f"{table.where}: distribution {entry!r}: target {name!r} is a"
                    f" {known[name].kind}; only a number has one"
                )
    return told


def _candidates(values: np.ndarray, weight: np.ndarray, way: str) -> list[Transform | None]:
    """Scales that the values allow of those that were told; None is the plain one."""
    positive = not (values < 0).any() and (values > 0).any()
    if way == "normal" or (way == "auto" and not positive):
        return [None]
    # where all numbers are alike every scale is nearly a straight line of every other
    if way == "auto" and values.min() * _ALIKE > values.max():
        return [None]
    if not positive:
        return []
    powers = [Transform.learn("power", power, values, weight) for power in _POWERS]
    log = Transform.learn("log", 0.0, values, weight)
    if way == "log-normal":
        return [log]
    return [*powers] if way == "power-normal" else [None, *powers, log]


def _features(schema: Schema, inputs: Mapping[str, Tensor], recipe: Recipe) -> Tensor:
    """What an untrained network makes of the rows."""
    with seeded(derive(recipe.training.seed, 9)):
        network = build_network(schema, recipe).eval()
    return compute_features(network, inputs)


def _drawn(rows: np.ndarray, seed: int) -> np.ndarray:
    if len(rows) <= _ROWS:
        return rows
    order = torch.randperm(len(rows), generator=generator(seed, 10))[:_ROWS]
    return rows[np.sort(order.numpy())]


def _best(
    features: Tensor, values: np.ndarray, weight: np.ndarray, scales: Sequence[Transform | None]
) -> Transform | None:
    """The scale on which rows left out are likeliest; the first unless another clearly is."""
    y = torch.from_numpy(values.astype(np.float64))
    pairs = [_standardised(y, torch.from_numpy(weight), scale) for scale in scales]
    u, slope = (torch.stack(lot, 1) for lot in zip(*pairs, strict=True))
    fold = torch.randperm(len(y), generator=generator(0, 13)) % _FOLDS
    w, each = torch.from_numpy(weight), torch.zeros_like(u)
    for turn in range(_FOLDS):
        inside, out = fold != turn, fold == turn
        layer = LastLayer.fit(Statistics.of(features[inside], u[inside], w[inside]))
        each[out] = layer.predict(features[out]).log_prob(u[out])
    mean = w @ (each + slope) / w.sum()
    least = _GAIN if scales[0] is None else 0.0
    best = int(mean.argmax())
    return scales[best] if float(mean[best] - mean[0]) > least else scales[0]


def _standardised(y: Tensor, weight: Tensor, scale: Transform | None) -> tuple[Tensor, Tensor]:
    """Values on a scale, standardised, and the logarithm of the slope that leads there."""
    if scale is not None:
        u, slope = scale.forward(y), scale.log_slope(y)
    else:
        u, slope = y, torch.zeros_like(y)
    mean = weight @ u / weight.sum()
    spread = (weight @ (u - mean).square() / weight.sum()).sqrt().clamp_min(1e-300)
    return (u - mean) / spread, slope - spread.log()
