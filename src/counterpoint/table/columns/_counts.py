"""How many rows hold what, column by column: what stays of a table to compare later ones by."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from counterpoint.errors import InputError


@dataclass(frozen=True)
class ColumnCounts:
    """One column's rows.

    Attributes:
        counts: rows by place. Levels: by code (missing, unseen, then the levels). Numbers: missing,
            below the first edge of the bins, in each bin, from the last edge on.
        total: sum of the known values, standardised; 0 of levels.
        weight: sum of the weights of the rows that have a value.
    """

    counts: tuple[float, ...]
    total: float = 0.0
    weight: float = 0.0

    def __post_init__(self) -> None:
        if not self.counts or min(*self.counts, self.weight, 0.0) < 0:
            raise InputError("counts of rows: there must be some, and none below 0")

    @property
    def rows(self) -> float:
        """All rows."""
        return sum(self.counts)

    @property
    def known(self) -> float:
        """Rows that have a value."""
        return sum(self.counts[1:])

    def joined(self, other: "ColumnCounts", keep: float) -> "ColumnCounts":
        """``keep`` times these rows and the other's, which may have more places."""
        counts = np.zeros(max(len(self.counts), len(other.counts)))
        counts[: len(self.counts)] += keep * np.asarray(self.counts)
        counts[: len(other.counts)] += other.counts
        total, weight = keep * self.total + other.total, keep * self.weight + other.weight
        return ColumnCounts(tuple(counts.tolist()), total, weight)


@dataclass(frozen=True)
class TableCounts:
    """The rows that a model learnt from, column by column, targets among them.

    Attributes:
        columns: name -> its rows.
    """

    columns: Mapping[str, ColumnCounts]

    def joined(self, other: "TableCounts", keep: float = 1.0) -> "TableCounts":
        """``keep`` times these rows, and the other's."""
        pairs = other.columns.items()
        return TableCounts({name: self.columns[name].joined(part, keep) for name, part in pairs})
