"""From a parsed table to tensors: rows are divided, scales and levels learnt, columns encoded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.findings import ColumnFindings
from counterpoint.recipe import Recipe
from counterpoint.seeding import derive
from counterpoint.table.columns import (
    Feature,
    Number,
    Schema,
    Table,
    UsableColumn,
)
from counterpoint.table.evaluate._describe import describe_columns
from counterpoint.table.fit._lesson import TeacherRows
from counterpoint.table.fit._split import RowSplit, set_aside, split_remarks, split_rows
from counterpoint.table.fit._transform import with_transforms
from counterpoint.table.targets._head import Head

_ENTRIES = 4096
"""Bins of all numbers together; memory of an update grows with the square of the first layer."""

Announce = Callable[[Schema, RowSplit, Sequence[str]], None]
"""Called with the plan of columns, the split and remarks on both, before any long work."""


@dataclass(frozen=True)
class Target:
    """One target as tensors over all rows of a table.

    Attributes:
        values: float32 (N, 1), standardised, or int64 (N,), numbers of classes.
        weight: float64 (N,), the row's weight, and 0 where the row has no value.
        actual: (N,), what predictions are compared with: a number in its own units, float64.
        lesson: what a teacher predicts; none: there is no teacher.
    """

    name: str
    head: Head
    values: Tensor
    weight: Tensor
    actual: Tensor
    lesson: TeacherRows | None = None

    @classmethod
    def of(cls, column: UsableColumn, table: Table, weight: Tensor, teacher: str = "") -> "Target":
        """A target of a column that has learnt, and what a teacher of a name says of it."""
        head, encoded = column.head, column.encode(table.values[column.name])
        values, known = head.read(encoded)
        lesson = TeacherRows.of(teacher, head, table, weight) if teacher else None
        return cls(column.name, head, values, weight * known, head.actual(encoded), lesson)

    @property
    def outputs(self) -> int:
        """How many numbers the network puts out for it."""
        return self.head.outputs


@dataclass(frozen=True)
class Prepared:
    """Rows ready to be learnt from.

    Attributes:
        inputs: ``categories`` and ``numbers`` of all of them.
        remarks: what the table and its split have of note, in sentences.
        described: each column, for the report.
    """

    schema: Schema
    rows: RowSplit
    inputs: dict[str, Tensor]
    targets: tuple[Target, ...]
    remarks: tuple[str, ...] = ()
    described: tuple[ColumnFindings, ...] = ()

    @property
    def weight(self) -> Tensor:
        """Of each row, float64 (N,); 0 where it has no target."""
        return torch.stack([target.weight for target in self.targets]).max(0).values


def prepare(table: Table, recipe: Recipe, announce: Announce | None = None) -> Prepared:
    """Split the rows, learn scales and levels, and make tensors."""
    weight = table.weights
    # a row of weight zero counts as absent everywhere: also for levels, scales and splits
    usable = table.targeted & (weight > 0)
    members, seed = recipe.network.members, recipe.training.seed
    rows = split_rows(table, usable, recipe.data.validation, members=members, seed=seed)
    if recipe.data.conformal:
        rows = set_aside(rows, table, recipe.data.conformal, derive(seed, 6))
    remarks = (*table.remarks, *split_remarks(table, rows))
    if announce is not None:
        announce(table.schema, rows, remarks)
    # mean one over the training rows: the unit of the weights does not matter to the evidence
    unit = float(weight[rows.train].mean())
    weight = weight / unit
    bins = min(recipe.network.bins, _most_bins(table.schema))
    table = table.learnt(rows.train, weight, bins, recipe.network.repeated)
    inputs = table.encode()
    table = with_transforms(table, inputs, recipe, rows.train, weight)
    # before any training: a column that cannot be described must not cost a model
    described = tuple(describe_columns(table))
    counted = torch.from_numpy(weight)
    teachers = recipe.data.teachers
    targets = tuple(
        Target.of(column, table, counted, teachers.get(column.name, ""))
        for column in table.schema.targets
    )
    for target in targets:
        if not target.weight[rows.train].any():
            raise InputError(
                f"{table.where}: target {target.name!r}: no training row has a value and a weight"
            )
    schema = _with_unit(table.schema, unit)
    return Prepared(schema, rows, inputs, targets, remarks, described)


def _most_bins(schema: Schema) -> int:
    """Bins that each number may have, so that the first layer stays of a size."""
    numbers = sum(column.ordered for column in schema.inputs)
    return _ENTRIES // max(1, numbers)


def _with_unit(schema: Schema, unit: float) -> Schema:
    """The schema with the unit of the weights in the column that holds them."""
    feature = Feature("value", 0.0, unit)
    columns = (
        replace(column, features=(feature,))
        if isinstance(column, Number) and column.role == "weight"
        else column
        for column in schema.columns
    )
    return Schema(tuple(columns))
