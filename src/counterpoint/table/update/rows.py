"""From a new table to rows that fit a model's columns."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupKFold, KFold
from torch import Tensor

from counterpoint.errors import InputError, nearest
from counterpoint.table.encode import (
    check_columns,
    encode_inputs,
    encode_target,
    encode_weight,
    standardised,
)
from counterpoint.table.kept import as_rows
from counterpoint.table.prepare import Prepared, Target
from counterpoint.table.schema import UNSEEN_LEVEL, Column, Schema
from counterpoint.table.split import is_test
from counterpoint.table.update.grow import grow_schema

__all__ = ["FOLDS", "as_known", "folds_of", "prepare_rows"]

_FAR = 1e6

FOLDS = 5
"""Parts into which new rows are divided, each predicted by what has learnt the others."""


def prepare_rows(schema: Schema, frame: pd.DataFrame, where: str = "table") -> Prepared:
    """The rows of a table that can be learnt from, under the columns as known and grown.

    Args:
        schema: the columns as known.
        frame: the table.
        where: its name, for messages.

    Raises:
        InputError: a column is absent (names the nearest), a cell or column is of another kind, or
            no row has a target and a weight.
    """
    if not len(frame):
        raise InputError(f"{where}: holds no rows")
    check_columns(schema, frame, where)
    _refuse_absent(schema, frame, where)
    weight = _weight(schema, frame, where)
    names = [column.name for column in schema.targets]
    usable = frame[names].notna().any(axis=1).to_numpy() & (weight > 0)
    usable &= ~_marked_test(schema, frame)
    if not usable.any():
        listed = ", ".join(repr(name) for name in names)
        raise InputError(
            f"{where}: no row to learn from: in each of {len(frame):,} rows {listed} or the weight"
            " is missing, or it is marked as test"
        )
    places = np.flatnonzero(usable)
    grown = grow_schema(schema, frame.iloc[places], where)
    return Prepared(
        schema=grown,
        rows=as_rows(places),
        inputs=encode_inputs(grown, frame, where),
        targets=tuple(_target(grown, name, frame, weight * usable, where) for name in names),
        weighted=schema.weight is not None,
    )


def as_known(prepared: Prepared, first: Mapping[int, int], rows: Tensor) -> dict[str, Tensor]:
    """Inputs as a model takes them that knows no new levels: these are unseen ones.

    Args:
        prepared: the table.
        first: place of a category -> first code that is new.
        rows: places in the table.
    """
    inputs = {name: value[rows] for name, value in prepared.inputs.items()}
    codes = inputs["categories"].clone()
    for place, code in first.items():
        codes[:, place] = codes[:, place].where(codes[:, place] < code, UNSEEN_LEVEL)
    return {**inputs, "categories": codes}


def folds_of(rows: Tensor, seed: int, groups: np.ndarray | None = None) -> list[Tensor]:
    """Rows in up to five parts, each to be left out in turn; none where there is but one.

    Args:
        rows: places.
        seed: decides the parts.
        groups: of each row, kept together.
    """
    most = len(rows) if groups is None else len(np.unique(groups))
    if most < 2:
        return []
    kind = KFold if groups is None else GroupKFold
    chooser = kind(min(FOLDS, most), shuffle=True, random_state=seed % 2**32)
    parts = chooser.split(rows.numpy(), groups=groups)
    return [rows[torch.from_numpy(held)] for _, held in parts]


def _marked_test(schema: Schema, frame: pd.DataFrame) -> np.ndarray:
    """Rows that a column of marks, where the model knows one and the table has it, holds out."""
    marks = [c.name for c in schema.columns if c.role == "split" and c.name in frame.columns]
    if not marks:
        return np.zeros(len(frame), dtype=bool)
    return is_test(frame[marks[0]])


def _refuse_absent(schema: Schema, frame: pd.DataFrame, where: str) -> None:
    known = [str(name) for name in frame.columns]
    weight = () if schema.weight is None else (schema.weight.name,)
    for name in (*(column.name for column in schema.targets), *weight):
        if name not in known:
            what = "which says how much a row counts" if name in weight else "which is predicted"
            raise InputError(f"{where}: lacks {name!r}, {what}{nearest(name, known)}")


def _weight(schema: Schema, frame: pd.DataFrame, where: str) -> np.ndarray:
    column = schema.weight
    if column is None:
        return np.ones(len(frame))
    weight = encode_weight(frame[column.name], column.name, where)
    return weight / column.features[0].scale


def _refuse_far(column: Column, values: pd.Series, where: str) -> None:
    if column.categorical:
        return
    (far,) = (np.abs(part) > _FAR for part in standardised(column, values, where))
    if far.any():
        row = int(np.flatnonzero(far)[0])
        raise InputError(
            f"{where}: row {row + 1:,}, column {column.name!r}: {values.iloc[row]} is more than a"
            " million standard deviations from all that the model has learnt; correct it, or leave"
            " the row out"
        )


def _target(
    schema: Schema, name: str, frame: pd.DataFrame, weight: np.ndarray, where: str
) -> Target:
    column = schema.column(name)
    _refuse_far(column, frame[name], where)
    values, known = encode_target(column, frame[name], where)
    return Target.of(column, values, torch.from_numpy(weight) * known)
