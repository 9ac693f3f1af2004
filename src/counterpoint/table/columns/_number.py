"""Quantities."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from counterpoint.errors import InputError
from counterpoint.table.columns._durations import DURATION, seconds_of
from counterpoint.table.columns._moments import is_clock
from counterpoint.table.columns._notation import Notation
from counterpoint.table.columns._numeric import NumericColumn
from counterpoint.table.columns._ranges import RANGES, middle_of
from counterpoint.table.columns._raw import ParsedColumn, RawColumn
from counterpoint.table.targets._number import NumberHead

_MOSTLY = 0.95
_FEW = 20
_SHORT = 12
_READERS = {
    DURATION: (seconds_of, "a length of time such as 1h 30m"),
    RANGES: (middle_of, "a range such as 18-24"),
}
"""How cells are read that are no plain numbers, and what they should be, by the column's form."""


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
        """See `Column`; whole numbers behind a zero, and dates written as numbers, are none."""
        if raw.counts_rows:
            return "it counts the rows"
        if raw.compact:
            return "its cells are dates"
        if raw.nature == "numbers" or raw.durations or raw.ranges:
            return ""
        if raw.nature != "texts":
            return f"it holds {raw.nature}"
        if raw.code:
            return f"a zero stands before whole numbers, as in {raw.code!r}"
        quantities = raw.quantities
        # of few cells one is more than 5 %, and more likely a word than a slip
        wanted = _MOSTLY if int((~quantities.absent).sum()) >= _FEW else 1.0
        share = quantities.share
        if share >= wanted:
            return ""
        return quantities.costume or f"{share:.0%} of its cells read as numbers"

    @classmethod
    def find_form(cls, raw: RawColumn) -> str:
        """How the numbers are written, as `Notation` does it; empty: with points, and alone.

        Raises:
            InputError: the cells allow two readings.
        """
        if raw.durations or is_clock(raw.date_form(_MOSTLY) or ""):
            return DURATION
        if raw.ranges:
            return RANGES
        quantities = raw.quantities
        if quantities.doubt:
            raise InputError(f"{raw.where}: column {raw.name!r}: {quantities.doubt}")
        return str(quantities.notation)

    @classmethod
    def reading(cls, raw: RawColumn) -> str:
        """See `Column`."""
        form = cls.find_form(raw)
        if form not in _READERS:
            return raw.quantities.said
        text, value = raw.stated.iloc[0], _worded(raw, form)[~raw.blank][0]
        what = f"{value:g} seconds" if form == DURATION else f"{value:g}, the middle of the range"
        absent = raw.labels[raw.blank & ~raw.missing]
        more = (
            f"; {absent[0]!r} ({len(absent):,} cells) is taken as no value" if len(absent) else ""
        )
        return f"{text!r} is read as {what}{more}"

    def parse(self, raw: RawColumn) -> ParsedColumn:
        """See `UsableColumn`; infinity is no quantity."""
        if self.form in _READERS and raw.nature != "numbers":
            return self._worded(raw)
        earlier = Notation.of(self.form)
        read = raw.quantities_like(earlier) if raw.later else raw.quantities
        if read.doubt:
            raise InputError(f"{raw.where}: column {raw.name!r}: {read.doubt}")
        target = self.role == "target"
        rule = f"a number, not {read.costume}" if read.costume else "a number"
        raw.refuse(np.isnan(read.numbers) & ~read.absent, rule, target=target)
        raw.refuse(np.isinf(read.numbers), "a finite number", target=target)
        return ParsedColumn(read.numbers, read.absent, read.said if raw.later else "")

    def _worded(self, raw: RawColumn) -> ParsedColumn:
        numbers, (_, rule) = _worded(raw, self.form), _READERS[self.form]
        raw.refuse(np.isnan(numbers) & ~raw.blank, rule, target=self.role == "target")
        return ParsedColumn(numbers, raw.blank)

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


def _worded(raw: RawColumn, form: str) -> np.ndarray:
    """Cells of such a form as numbers; NaN where one is none."""
    if raw.nature == "durations":
        return raw.cells.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = raw.padded.where(~raw.blank).map(_READERS[form][0], na_action="ignore")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)
