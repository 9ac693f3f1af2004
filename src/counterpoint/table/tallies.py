"""How many rows had which values: sums of bounded size, by which a later table is compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from counterpoint.table.encode import codes_of, standardised
from counterpoint.table.schema import Column, Schema

__all__ = ["Tallies", "Tally"]

_CONSTANT = (-1e-9, 1e-9)


@dataclass(frozen=True)
class Tally:
    """One column's rows.

    Attributes:
        counts: rows by place. A category: by code (missing, unseen, then the levels). A number or
            date: missing, below the first edge of its bins, in each bin, from the last edge on.
        total: sum of the known values, standardised; 0 of a category.
        weight: sum of the weights of the rows that have a value.
    """

    counts: tuple[float, ...]
    total: float = 0.0
    weight: float = 0.0

    @property
    def rows(self) -> float:
        """All rows."""
        return sum(self.counts)

    def joined(self, other: "Tally", keep: float) -> "Tally":
        """``keep`` times these rows and the other's, which may have more places."""
        counts = np.zeros(max(len(self.counts), len(other.counts)))
        counts[: len(self.counts)] += keep * np.asarray(self.counts)
        counts[: len(other.counts)] += other.counts
        total, weight = keep * self.total + other.total, keep * self.weight + other.weight
        return Tally(tuple(counts.tolist()), total, weight)


@dataclass(frozen=True)
class Tallies:
    """The rows that a model learnt from, column by column, targets among them.

    Attributes:
        columns: name -> its rows.
    """

    columns: Mapping[str, Tally]

    @classmethod
    def of(
        cls, schema: Schema, frame: pd.DataFrame, rows: np.ndarray, weight: np.ndarray
    ) -> "Tallies":
        """Count rows of a table that fits the schema.

        Args:
            schema: the columns.
            frame: the table.
            rows: places of the rows.
            weight: of every row of the table.
        """
        columns = (*schema.inputs, *schema.targets)
        return cls({c.name: _count(c, frame[c.name].iloc[rows], weight[rows]) for c in columns})

    def joined(self, other: "Tallies", keep: float = 1.0) -> "Tallies":
        """``keep`` times these rows, and the other's."""
        pairs = other.columns.items()
        return Tallies({name: self.columns[name].joined(tally, keep) for name, tally in pairs})

    def to_json(self) -> dict[str, Any]:
        """The counts as plain values."""
        return {
            n: {"counts": list(t.counts), "total": t.total, "weight": t.weight}
            for n, t in self.columns.items()
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Tallies":
        """Rebuild what `to_json` gave.

        Raises:
            TypeError: a part is of another type (also `KeyError`, `ValueError`).
        """
        return cls(
            {
                str(name): Tally(
                    tuple(float(n) for n in part["counts"]),
                    float(part["total"]),
                    float(part["weight"]),
                )
                for name, part in value.items()
            }
        )


def _count(column: Column, values: pd.Series, weight: np.ndarray) -> Tally:
    known = values.notna().to_numpy()
    counted = float(weight[known].sum())
    if column.categorical:
        counts = np.bincount(codes_of(column, values), minlength=len(column.levels) + 2)
        return Tally(tuple(counts.astype(float).tolist()), weight=counted)
    number = standardised(column, values)[0]
    # a column that did not vary: below its value, the value, above it
    edges = column.features[0].edges or _CONSTANT
    places = np.searchsorted(edges, number[known], side="right") + 1
    counts = np.bincount(places, minlength=len(edges) + 2).astype(float)
    counts[0] = len(number) - known.sum()
    return Tally(tuple(counts.tolist()), float(number[known].sum()), counted)
