"""Quantities."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from counterpoint.table.columns._numeric import NumericColumn
from counterpoint.table.columns._raw import ParsedColumn, RawColumn
from counterpoint.table.targets._number import NumberHead

_MOSTLY = 0.95
_FEW = 20
_SHORT = 12


@dataclass(frozen=True)
class Number(NumericColumn):
    """A quantity.

    At least 95 % of a column's texts must read as numbers; the others are then reported as errors,
    cell by cell, not silently made a category.
    """

    kind: ClassVar[str] = "number"
    head_type = NumberHead
    embeds: ClassVar[bool] = True

    @classmethod
    def reject(cls, raw: RawColumn) -> str:
        """See `Column`."""
        if raw.counts_rows:
            return "it counts the rows"
        if raw.nature == "numbers":
            return ""
        if raw.nature != "texts":
            return f"it holds {raw.nature}"
        # of few cells one is more than 5 %, and more likely a word than a slip
        wanted = _MOSTLY if len(raw.texts) >= _FEW else 1.0
        share = raw.numeric_share
        return "" if share >= wanted else f"{share:.0%} of its cells read as numbers"

    def parse(self, raw: RawColumn) -> ParsedColumn:
        """See `UsableColumn`; infinity is no quantity."""
        numbers = raw.numbers
        raw.refuse(np.isnan(numbers) & ~raw.missing, "a number")
        raw.refuse(np.isinf(numbers), "a finite number")
        return ParsedColumn(numbers, raw.missing)

    def parts(self, data: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `NumericColumn`."""
        return {"value": data}

    def summary(self, known: np.ndarray) -> str:
        """See `NumericColumn`."""
        low, middle, high = (float(q) for q in np.quantile(known, [0.0, 0.5, 1.0]))
        return (
            f"{low:.4g} to {high:.4g}, median {middle:.4g},"
            f" mean {known.mean():.4g}, sd {known.std():.4g}"
        )

    def show(self, value: object) -> str:
        """See `UsableColumn`."""
        # as people write it where it is short, else as many digits as are read at a glance
        text = f"{value:.15g}"
        return text if len(text) <= _SHORT else f"{value:.4g}"
