"""Quantities."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from counterpoint.errors import InputError
from counterpoint.table.columns._durations import DURATION, seconds_of
from counterpoint.table.columns._notation import Notation
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
        """See `Column`; whole numbers behind a zero, and dates written as numbers, are none."""
        if raw.counts_rows:
            return "it counts the rows"
        if raw.compact:
            return "its cells are dates"
        if raw.nature == "numbers" or raw.durations:
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
        if raw.durations:
            return DURATION
        quantities = raw.quantities
        if quantities.doubt:
            raise InputError(f"{raw.where}: column {raw.name!r}: {quantities.doubt}")
        return str(quantities.notation)

    @classmethod
    def reading(cls, raw: RawColumn) -> str:
        """See `Column`."""
        if raw.durations:
            return f"{raw.texts.iloc[0]!r} is read as {_seconds(raw)[~raw.missing][0]:g} seconds"
        return raw.quantities.said

    def parse(self, raw: RawColumn) -> ParsedColumn:
        """See `UsableColumn`; infinity is no quantity."""
        if self.form == DURATION and raw.nature != "numbers":
            return self._lasting(raw)
        earlier = Notation.of(self.form)
        read = raw.quantities_like(earlier) if raw.later else raw.quantities
        if read.doubt:
            raise InputError(f"{raw.where}: column {raw.name!r}: {read.doubt}")
        target = self.role == "target"
        rule = f"a number, not {read.costume}" if read.costume else "a number"
        raw.refuse(np.isnan(read.numbers) & ~read.absent, rule, target=target)
        raw.refuse(np.isinf(read.numbers), "a finite number", target=target)
        return ParsedColumn(read.numbers, read.absent, read.said if raw.later else "")

    def _lasting(self, raw: RawColumn) -> ParsedColumn:
        seconds = _seconds(raw)
        raw.refuse(np.isnan(seconds) & ~raw.blank, "a length of time such as 1h 30m")
        return ParsedColumn(seconds, raw.blank)

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


def _seconds(raw: RawColumn) -> np.ndarray:
    if raw.nature == "durations":
        return raw.cells.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan)
    seconds = raw.padded.map(seconds_of, na_action="ignore")
    return seconds.to_numpy(dtype=np.float64, na_value=np.nan)
