"""From a new table to rows that fit a model's columns."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.table.columns import Number, Table, UsableColumn
from counterpoint.table.columns._encoded import UNSEEN_LEVEL
from counterpoint.table.columns._split import later_split
from counterpoint.table.fit._prepare import Prepared, Target
from counterpoint.table.fit._split import is_test
from counterpoint.table.model._exemplars import as_rows
from counterpoint.table.model._model import TableModel

_FAR = 1e6

FOLDS = 5
"""Parts into which new rows are divided, each predicted by what has learnt the others."""


def read_rows(model: TableModel, frame: pd.DataFrame, where: str = "table") -> Table:
    """A table to learn, parsed, its columns grown by the rows that can be learnt from.

    Args:
        model: before.
        frame: the table.
        where: its name, for messages.

    Raises:
        InputError: a column is absent (names the nearest), a cell or column is of another kind, or
            no row has a target and a weight.
    """
    if not len(frame):
        raise InputError(f"{where}: holds no rows")
    split = later_split(model.recipe.data.split, list(map(str, frame.columns)))
    table = Table.read(frame, model.schema, where, learn=True, split=split)
    rows = np.flatnonzero(_usable(table))
    if not len(rows):
        listed = ", ".join(repr(column.name) for column in table.schema.targets)
        raise InputError(
            f"{where}: no row to learn from: in each of {table.rows:,} rows {listed} or the weight"
            " is missing, or it is marked as test"
        )
    return table.grown(rows)


def prepare_rows(table: Table) -> Prepared:
    """The rows of a table that can be learnt from.

    Args:
        table: as `read_rows` gave it.

    Raises:
        InputError: a target is too far from all that was learnt.
    """
    usable = _usable(table)
    weight = torch.from_numpy(_weights(table) * usable)
    targets = tuple(Target.of(column, table, weight) for column in table.schema.targets)
    for column, target in zip(table.schema.targets, targets, strict=True):
        _refuse_far(column, target, table)
    rows = as_rows(np.flatnonzero(usable))
    return Prepared(table.schema, rows, table.encode(), targets)


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
    from sklearn.model_selection import GroupKFold, KFold  # slow to import

    kind = KFold if groups is None else GroupKFold
    chooser = kind(min(FOLDS, most), shuffle=True, random_state=seed % 2**32)
    parts = chooser.split(rows.numpy(), groups=groups)
    return [rows[torch.from_numpy(held)] for _, held in parts]


def _usable(table: Table) -> np.ndarray:
    """Rows with a target and a weight that no mark holds out."""
    usable = table.targeted & (table.weights > 0)
    if table.split.kind == "marks":
        usable &= ~is_test(table.values[table.split.column])
    return usable


def _weights(table: Table) -> np.ndarray:
    """Weights in the unit of the fit, where they were one on average."""
    column = table.schema.weight
    unit = column.features[0].scale if isinstance(column, Number) else 1.0
    return table.weights / unit


def _refuse_far(column: UsableColumn, target: Target, table: Table) -> None:
    far = target.head.far(target.values, _FAR).numpy()
    if far.any():
        row = int(np.flatnonzero(far)[0])
        shown = column.show(table.values[column.name].data[row])
        raise InputError(
            f"{table.where}: row {row + 1:,}, column {column.name!r}: {shown} is more than a"
            " million standard deviations from all that the model has learnt; correct it, or leave"
            " the row out"
        )
