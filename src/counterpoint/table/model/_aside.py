"""Rows that nothing was fitted to, by which the intervals of numbers are made to hold."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from counterpoint.errors import InputError, nearest
from counterpoint.posterior.calibration import conformal_by, density_ratio
from counterpoint.table.columns import Schema
from counterpoint.table.model._exemplars import Exemplars
from counterpoint.table.targets._prediction import Levels, Prediction

_FEW_LEVELS = 50


def group_place(schema: Schema, name: str) -> int | None:
    """Where a category's codes stand among the inputs; none where none is named.

    Raises:
        InputError: no input of that name is a category (names the nearest).
    """
    places = {column: own["categories"][0] for column, own in schema.slots if "categories" in own}
    if name and name not in places:
        raise InputError(
            f"data.conformal_by: {name!r} is no category among the inputs{nearest(name, places)}"
        )
    return places.get(name)


def groups_of(schema: Schema, name: str, inputs: Mapping[str, Tensor]) -> Tensor:
    """The group of each row: its code of the named category, or 0 without one."""
    place = group_place(schema, name)
    codes = inputs["categories"]
    return torch.zeros(len(codes), dtype=torch.int64) if place is None else codes[:, place]


def conformal_levels(
    schema: Schema, name: str, aside: Exemplars, predictions: Mapping[str, Prediction]
) -> dict[str, Levels]:
    """By target and group, the levels at which intervals hold the rows aside.

    Args:
        schema: of the columns as they are now.
        name: of the category whose groups count apart; empty: none.
        aside: the rows.
        predictions: of them, without such levels.
    """
    found = dict[str, Levels]()
    groups = groups_of(schema, name, aside.inputs)
    parts = zip(schema.targets, aside.values, aside.weights, strict=True)
    for column, values, weight in parts:
        pit = predictions[column.name].pit(column.head.units(values))
        known = weight > 0
        if pit is not None and bool(known.any()):
            found[column.name] = conformal_by(pit[known], groups[known], weight[known])
    return found


def reweighted(aside: Exemplars, inputs: Mapping[str, Tensor]) -> Exemplars:
    """The rows aside, each by how much denser the rows of some inputs are where it lies.

    Args:
        aside: the rows.
        inputs: of the rows to predict.
    """
    levels = aside.inputs["categories"].amax(0).clamp_max(_FEW_LEVELS)
    ratio, _ = density_ratio(_columns(aside.inputs, levels), _columns(inputs, levels))
    return replace(aside, weights=tuple(weight * ratio for weight in aside.weights))


def _columns(inputs: Mapping[str, Tensor], levels: Tensor) -> Tensor:
    """Numbers, and a column for each of the first levels of each category."""
    codes = inputs["categories"]
    each = [
        (codes[:, place, None] == torch.arange(int(most) + 1)).double()
        for place, most in enumerate(levels)
    ]
    return torch.cat([inputs["numbers"].double(), *each], 1)
