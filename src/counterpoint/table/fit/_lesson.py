"""What a teacher predicts of the rows of a table, for a network to imitate."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.table.columns import Table
from counterpoint.table.targets._category import CategoryHead
from counterpoint.table.targets._head import Head

_ROUNDING = 1e-3


@dataclass(frozen=True)
class TeacherRows:
    """A teacher's predictions of one target in every row.

    Attributes:
        values: float32 (N, K), as outputs are compared with them.
        weight: float64 (N,), the row's weight, and 0 where the teacher says nothing.
    """

    values: Tensor
    weight: Tensor

    @classmethod
    def of(cls, name: str, head: Head, table: Table, weight: Tensor) -> "TeacherRows":
        """What stands in a table's columns of a teacher.

        Args:
            name: of the teacher.
            head: of the target.
            table: with columns that have learnt.
            weight: of every row.

        Raises:
            InputError: a column is absent, empty, or holds no probabilities.
        """
        if isinstance(head, CategoryHead):
            found = _probabilities(name, head.classes, table)
            known = ~np.isnan(found).any(1)
        else:
            if name not in table.values:
                raise InputError(
                    f"{table.where}: teacher {name!r}: lacks a column of this name, with numbers"
                )
            found = table.values[name].data
            known = ~np.isnan(found)
        if not known.any():
            raise InputError(f"{table.where}: teacher {name!r}: predicts no row")
        values = head.taught(np.nan_to_num(found))
        return cls(values, weight * torch.from_numpy(known))


def _probabilities(name: str, classes: tuple[str, ...], table: Table) -> np.ndarray:
    """(N, classes); NaN where a row has none."""
    named = [f"{name} p({label})" for label in classes]
    absent = [place for place, column in enumerate(named) if column not in table.values]
    given = [table.values[column].data for column in named if column in table.values]
    # of two classes one says it all
    if len(absent) > (len(classes) == 2):
        raise InputError(
            f"{table.where}: teacher {name!r}: lacks {named[absent[0]]!r}, the probability of a"
            " class"
        )
    for place in absent:
        given.insert(place, 1.0 - given[0])
    found = np.stack(given, axis=1)
    total = found.sum(1)
    bad = (found < 0).any(1) | (np.abs(total - 1) > _ROUNDING)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{table.where}: row {row + 1:,}: teacher {name!r}: expected probabilities that add to"
            f" one, found {found[row].tolist()}"
        )
    return found / total[:, None]
