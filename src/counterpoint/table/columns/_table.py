"""A table whose cells have been parsed, once: what every later stage takes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from counterpoint.errors import InputError, nearest
from counterpoint.recipe import Data
from counterpoint.table.columns._column import Column, Lesson, Role, UsableColumn
from counterpoint.table.columns._counts import TableCounts
from counterpoint.table.columns._hints import absent_targets, hints, named_twice
from counterpoint.table.columns._kinds import KINDS, Kinds
from counterpoint.table.columns._origin import origin_of
from counterpoint.table.columns._plan import plan_columns
from counterpoint.table.columns._raw import ParsedColumn, RawColumn, raw_columns
from counterpoint.table.columns._schema import Schema
from counterpoint.table.columns._signs import Signs
from counterpoint.table.columns._split import SHARED, SplitRule, parse_split

_FARTHEST = 1e6
_READ: tuple[Role, ...] = ("input", "target", "weight")
_FITTED: tuple[Role, ...] = (*_READ, "teacher")


@dataclass(frozen=True)
class Table:
    """Parsed columns under a schema.

    Attributes:
        schema: the columns.
        values: name -> values, of the inputs, and of targets, weight and split where they are read.
        missing: name -> number of cells that hold nothing, of every column of the schema.
        rows: their number.
        where: the table's name, for messages.
        split: how its rows are held out.
        remarks: how cells were read, and what may not be what it seems, in sentences.
    """

    schema: Schema
    values: Mapping[str, ParsedColumn]
    missing: Mapping[str, int]
    rows: int
    where: str = "table"
    split: SplitRule = SHARED
    remarks: tuple[str, ...] = ()

    @classmethod
    def plan(
        cls, frame: pd.DataFrame, data: Data, kinds: Kinds = KINDS, where: str = "table"
    ) -> "Table":
        """A table to fit: kinds and roles are found, then every cell is parsed.

        Args:
            frame: the table.
            data: the recipe's section.
            kinds: what a column may be taken for, in order.
            where: the table's name, for messages.

        Raises:
            InputError: see `plan_columns`; or a cell is not of its column's kind.
        """
        origin = origin_of(frame)
        signs = Signs(
            data.decimal or origin.decimal, data.thousands or origin.thousands, origin.separator
        )
        raw = raw_columns(frame, where, data.dates, signs)
        split = parse_split(data.split, raw, where)
        schema = plan_columns(raw, data, split, kinds, where, origin.missing)
        table = cls._parse(schema, raw, _FITTED, split, where)
        absent = absent_targets(schema, table.values, origin.missing)
        remarks = (
            *origin.said,
            *named_twice(data.target),
            *absent,
            *hints(schema, raw, table.values),
        )
        return replace(table, remarks=remarks)

    @classmethod
    def read(
        cls,
        frame: pd.DataFrame,
        schema: Schema,
        where: str = "table",
        *,
        learn: bool = False,
        split: SplitRule = SHARED,
    ) -> "Table":
        """A later table under the columns of a fit; what the schema does not name is not read.

        Args:
            frame: the table.
            schema: the columns.
            where: the table's name, for messages.
            learn: whether to read targets and weights, too.
            split: how its rows are held out.

        Raises:
            InputError: a column is absent (names the nearest), or a cell is not of its kind.
        """
        origin = origin_of(frame)
        signs = Signs(origin.decimal, origin.thousands, origin.separator)
        raw = raw_columns(frame, where, signs=signs, later=True)
        _refuse_absent(schema, raw, where)
        if learn:
            _refuse_absent_targets(schema, raw, where)
        return cls._parse(schema, raw, _READ if learn else _READ[:1], split, where)

    @classmethod
    def _parse(
        cls,
        schema: Schema,
        raw: Mapping[str, RawColumn],
        roles: Sequence[Role],
        split: SplitRule,
        where: str,
    ) -> "Table":
        values = dict[str, ParsedColumn]()
        for column in schema.columns:
            name = column.name
            if name == split.column and split.labelled:
                values[name] = ParsedColumn(raw[name].labels, raw[name].missing)
            elif isinstance(column, UsableColumn) and (
                column.role in roles or name == split.column
            ):
                values[name] = column.parse(raw[name])
        absent = {c.name: raw[c.name].missing for c in schema.columns if c.name in raw}
        absent |= {name: column.missing for name, column in values.items()}
        missing = {name: int(rows.sum()) for name, rows in absent.items()}
        rows = len(next(iter(raw.values())).missing) if raw else 0
        remarks = tuple(f"column {n!r}: {part.said}" for n, part in values.items() if part.said)
        return cls(schema, values, missing, rows, where, split, remarks)

    @property
    def weights(self) -> np.ndarray:
        """How much each row counts, as given, float64 (N,); one where nothing is.

        Raises:
            InputError: a weight is missing or negative, or all are zero.
        """
        column = self.schema.weight
        if column is None:
            return np.ones(self.rows)
        weight = self.values[column.name].data
        for bad, rule in ((np.isnan(weight), "a weight"), (weight < 0, "a weight of at least 0")):
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                found = "no value" if np.isnan(weight[row]) else f"{weight[row]:g}"
                raise InputError(
                    f"{self.where}: row {row + 1:,}, column {column.name!r}: expected {rule},"
                    f" found {found}"
                )
        if not weight.any():
            raise InputError(f"{self.where}: weight column {column.name!r}: every weight is zero")
        return weight

    @property
    def targeted(self) -> np.ndarray:
        """Which rows have at least one target (bool, (N,))."""
        absent = [self.values[column.name].missing for column in self.schema.targets]
        return ~np.logical_and.reduce(absent)

    def learnt(
        self, rows: np.ndarray, weights: np.ndarray, bins: int = 0, repeated: int = 0
    ) -> "Table":
        """The table under columns that know scales, bins and levels, of the training rows alone.

        Args:
            rows: places of the training rows.
            weights: of every row of the table.
            bins: most quantile bins a number.
            repeated: most values of a number that get a vector each.

        Raises:
            InputError: the training rows of a column cannot serve.
        """
        return self._with_columns(
            rows,
            lambda c, values: c.learn(Lesson(values, weights[rows], bins, repeated, self.where)),
        )

    def grown(self, rows: np.ndarray) -> "Table":
        """The table under columns with the levels and classes that some of its rows bring.

        Raises:
            InputError: a column holds another kind of values than it did, or too many levels.
        """
        return self._with_columns(rows, lambda column, values: column.grown(values, self.where))

    def _with_columns(
        self, rows: np.ndarray, change: Callable[[UsableColumn, ParsedColumn], Column]
    ) -> "Table":
        columns = (
            change(column, self.values[column.name].take(rows))
            if isinstance(column, UsableColumn) and column.role in ("input", "target")
            else column
            for column in self.schema.columns
        )
        return replace(self, schema=Schema(tuple(columns)))

    def pieces(self, rows: int) -> Iterator["Table"]:
        """The table in pieces of so many rows, in its order; remarks are of the whole."""
        for low in range(0, self.rows, rows):
            part = np.arange(low, min(low + rows, self.rows))
            values = {name: column.take(part) for name, column in self.values.items()}
            yield replace(self, values=values, rows=len(part))

    def encode(self) -> dict[str, Tensor]:
        """The inputs of the network.

        Returns:
            ``categories``: int64 (N, C), codes; ``numbers``: float32 (N, D), standardised, missing
            ones 0 with a 1 in the indicator of their column.
        """
        edges = self.schema.edges
        categories = np.empty((self.rows, len(self.schema.cardinalities)), dtype=np.int64)
        numbers = np.empty((self.rows, len(edges)), dtype=np.float32)
        code, number = 0, 0
        # indicators stand after all numbers: a network's columns stay where they were
        indicator = len(edges) - sum(column.indicated for column in self.schema.inputs)
        # column by column into its place: whole copies in float64 were most of a fit's memory
        for column in self.schema.inputs:
            one = column.encode(self.values[column.name])
            for values in one.codes:
                categories[:, code] = values
                code += 1
            for values in one.numbers:
                # a value a million deviations away is as far as any: float32 must not turn it
                # into infinity
                numbers[:, number] = np.nan_to_num(values).clip(-_FARTHEST, _FARTHEST)
                number += 1
            if one.indicator is not None:
                numbers[:, indicator] = one.indicator
                indicator += 1
        return {"categories": torch.from_numpy(categories), "numbers": torch.from_numpy(numbers)}

    def count(self, rows: np.ndarray, weights: np.ndarray) -> TableCounts:
        """Some rows by what they hold, inputs and targets.

        Args:
            rows: their places.
            weights: of every row of the table.
        """
        columns = (*self.schema.inputs, *self.schema.targets)
        return TableCounts(
            {c.name: c.count(self.values[c.name].take(rows), weights[rows]) for c in columns}
        )


def _refuse_absent(schema: Schema, raw: Mapping[str, RawColumn], where: str) -> None:
    absent = [column.name for column in schema.inputs if column.name not in raw]
    if absent:
        names = ", ".join(repr(name) for name in absent)
        raise InputError(
            f"{where}: lacks {names}, which the model was fitted on{nearest(absent[0], raw)}"
        )


def _refuse_absent_targets(schema: Schema, raw: Mapping[str, RawColumn], where: str) -> None:
    weight = () if schema.weight is None else (schema.weight.name,)
    for name in (*(column.name for column in schema.targets), *weight):
        if name not in raw:
            what = "which says how much a row counts" if name in weight else "which is predicted"
            raise InputError(f"{where}: lacks {name!r}, {what}{nearest(name, raw)}")
