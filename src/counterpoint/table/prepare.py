"""From a frame and a recipe to everything a fit needs: schema, rows and tensors."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.recipe import Recipe
from counterpoint.table.encode import encode_inputs, encode_target, encode_weight
from counterpoint.table.learn import learn_schema, plan_columns
from counterpoint.table.read import refuse_names
from counterpoint.table.schema import Column, Feature, Schema
from counterpoint.table.split import Rows, split_rows

__all__ = ["Announce", "Prepared", "Target", "prepare"]

Announce = Callable[[Schema, Rows], None]
"""Called with the plan of columns and the split, before any long work."""


@dataclass(frozen=True)
class Target:
    """One target as tensors over all rows of the frame.

    Attributes:
        name: the column.
        outputs: how many numbers the network puts out for it.
        values: float32 (N, 1), standardised, or int64 (N,), places of classes.
        weight: float64 (N,), the row's weight, and 0 where the row has no value.
    """

    name: str
    outputs: int
    values: Tensor
    weight: Tensor

    @classmethod
    def of(cls, column: Column, values: Tensor, weight: Tensor) -> "Target":
        """A target of a column, whose levels say how many outputs it has."""
        outputs = len(column.levels) if column.categorical else 1
        return cls(column.name, outputs, values, weight)

    @property
    def categorical(self) -> bool:
        """Whether the values are classes."""
        return not self.values.is_floating_point()


@dataclass(frozen=True)
class Prepared:
    """A table ready to be fitted.

    Attributes:
        schema: columns with what was learnt from the training rows.
        rows: which rows are learnt from, left out in turn, and held out.
        inputs: ``categories`` and ``numbers`` of all rows.
        targets: one an output column.
        weighted: whether a weight column was given.
    """

    schema: Schema
    rows: Rows
    inputs: dict[str, Tensor]
    targets: tuple[Target, ...]
    weighted: bool

    @property
    def weight(self) -> Tensor:
        """Of each row, float64 (N,); 0 where it has no target."""
        return torch.stack([target.weight for target in self.targets]).max(0).values


def prepare(
    frame: pd.DataFrame, recipe: Recipe, where: str = "table", announce: Announce | None = None
) -> Prepared:
    """Plan the columns, split the rows, learn scales and levels, and make tensors.

    Weights are brought to mean one over the training rows, so that their unit does not matter to
    the evidence.

    Args:
        frame: the table.
        recipe: what the user told.
        where: the table's name, for messages.
        announce: see `Announce`.

    Raises:
        InputError: the table cannot be used as told; names the row, the column and the rule.
    """
    refuse_names(frame.columns, where)
    frame = frame.rename(columns=str)
    plan = plan_columns(frame, recipe.data, where)
    weight = _weight(frame, recipe, where)
    # a row of weight zero counts as absent everywhere: also for levels, scales and splits
    usable = frame[[column.name for column in plan.targets]].notna().any(axis=1).to_numpy()
    usable = usable & (weight > 0)
    rows = split_rows(
        frame,
        usable,
        recipe.data,
        plan,
        members=recipe.network.members,
        seed=recipe.training.seed,
        where=where,
    )
    if announce is not None:
        announce(plan, rows)
    unit = float(weight[rows.train].mean())
    weight = weight / unit
    schema = learn_schema(
        plan, frame, rows.train, weight=weight, bins=recipe.network.bins, where=where
    )
    schema = _with_unit(schema, unit)
    return Prepared(
        schema=schema,
        rows=rows,
        inputs=encode_inputs(schema, frame, where),
        targets=tuple(_target(schema, name, frame, weight, rows, where) for name in _names(schema)),
        weighted=bool(recipe.data.weight),
    )


def _with_unit(schema: Schema, unit: float) -> Schema:
    """The schema with the unit of the weights in the column that holds them."""
    feature = (Feature("value", 0.0, unit),)
    columns = [replace(c, features=feature) if c.role == "weight" else c for c in schema.columns]
    return Schema(tuple(columns))


def _names(schema: Schema) -> list[str]:
    return [column.name for column in schema.targets]


def _weight(frame: pd.DataFrame, recipe: Recipe, where: str) -> np.ndarray:
    name = recipe.data.weight
    return encode_weight(frame[name], name, where) if name else np.ones(len(frame))


def _target(
    schema: Schema, name: str, frame: pd.DataFrame, weight: np.ndarray, rows: Rows, where: str
) -> Target:
    column = schema.column(name)
    values, known = encode_target(column, frame[name], where)
    counted = torch.from_numpy(weight) * known
    if not counted[rows.train].any():
        raise InputError(f"{where}: target {name!r}: no training row has a value and a weight")
    return Target.of(column, values, counted)
