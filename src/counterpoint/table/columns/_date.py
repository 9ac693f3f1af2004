"""Days, and times of day, written in one way or a few throughout a column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from counterpoint.errors import InputError
from counterpoint.table.columns._moments import AMBIGUOUS, ISO, is_clock
from counterpoint.table.columns._numeric import NumericColumn
from counterpoint.table.columns._raw import ParsedColumn, RawColumn

_MOSTLY = 0.95
_YEAR = 365.2425
_DAY = 86_400


@dataclass(frozen=True)
class Date(NumericColumn):
    """A date, as days since 1970-01-01 in UTC, or a time of day, as its part of a day.

    `form` is how its texts are written; see `counterpoint.table.columns._moments`.
    """

    kind: ClassVar[str] = "date"

    @classmethod
    def reject(cls, raw: RawColumn) -> str:
        """See `Column`; years and most other numbers are no dates unless told."""
        if raw.nature == "dates" or raw.compact:
            return ""
        if raw.nature != "texts":
            return f"it holds {raw.nature}"
        if raw.numeric_share == 1.0:
            return "its cells read as numbers"
        # a word without a digit is no date, and trying every format would only cost time
        if not raw.stated.str.contains(r"\d", regex=True).all():
            return "not every cell has a digit"
        return "" if raw.date_form(_MOSTLY) else "no one way of writing dates fits"

    @classmethod
    def find_form(cls, raw: RawColumn) -> str:
        """The form in which nearly all cells are dates.

        Raises:
            InputError: there is none, or all cells allow the day and the month first.
        """
        if raw.nature == "dates":
            return ISO
        form, named = raw.compact or raw.date_form(_MOSTLY), f"{raw.where}: column {raw.name!r}"
        if form == AMBIGUOUS:
            raise InputError(
                f"{named}: is {raw.stated.iloc[0]!r} the day or the month first? Every row allows"
                " both; say --data.dates day-first or --data.dates month-first"
            )
        if form is None:
            raise InputError(
                f"{named}: no one way of writing dates fits its cells, such as"
                f" {raw.texts.iloc[0]!r}; write them like 2024-02-29"
            )
        return form

    @classmethod
    def reading(cls, raw: RawColumn) -> str:
        """See `Column`: compact dates, several ways of writing, words for no date."""
        form = cls.find_form(raw)
        parts = list[str]()
        if raw.nature != "dates" and (raw.compact or "|" in form):
            column = cls(raw.name, "input", form=form)
            data = column.parse(raw).data
            rows = [int(np.flatnonzero(raw.stamps(way).notna())[0]) for way in form.split("|")]
            parts += [f"{raw.labels[row]!r} is read as {column.show(data[row])}" for row in rows]
        absent = raw.labels[raw.blank & ~raw.missing]
        if len(absent):
            parts.append(f"{absent[0]!r} ({len(absent):,} cells) is taken as no date")
        return "; ".join(parts)

    def parse(self, raw: RawColumn) -> ParsedColumn:
        """See `UsableColumn`."""
        missing = raw.blank
        if raw.nature == "dates":
            stamps = _as_stamps(raw.cells)
        else:
            stamps = raw.stamps(self.form)
            rule = "a date" if self.form == ISO else f"a date written {self.form}"
            raw.refuse(stamps.isna().to_numpy() & ~missing, rule, target=self.role == "target")
        # whole seconds reach every year that can be written; nanoseconds end in 2262
        seconds = stamps.dt.tz_localize(None).dt.as_unit("s")
        days = (seconds - pd.Timestamp(0).as_unit("s")).dt.total_seconds() / _DAY
        data = days.to_numpy(dtype=np.float64, na_value=np.nan)
        # pandas reads a time of day as one of 1 January 1900
        return ParsedColumn(data % 1.0 if is_clock(self.form) else data, missing)

    def parts(self, data: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `date_parts`; of a time of day those of a day."""
        parts = date_parts(data)
        if not is_clock(self.form):
            return parts
        return {part: parts[part] for part in ("value", "day sin", "day cos")}

    @property
    def grain(self) -> float:
        """See `NumericColumn`: a day, of times of day none."""
        return 0.0 if is_clock(self.form) else 1.0

    def summary(self, known: np.ndarray) -> str:
        """See `NumericColumn`."""
        return f"from {self.show(known.min())[:10]} to {self.show(known.max())[:10]}"

    def show(self, value: object) -> str:
        """See `UsableColumn`."""
        seconds = np.datetime64(round(float(str(value)) * _DAY), "s")
        text = str(seconds).replace("T", " ").removesuffix(":00")
        return text[11:] if is_clock(self.form) else text.removesuffix(" 00:00")


def _as_stamps(cells: pd.Series) -> pd.Series:
    if isinstance(cells.dtype, pd.PeriodDtype):
        cells = cells.dt.to_timestamp()
    return pd.to_datetime(cells, utc=True)


def date_parts(days: np.ndarray) -> dict[str, np.ndarray]:
    """Parts of dates that a network can use; cycles are given as sine and cosine.

    >>> {part: round(float(value[0]), 3) for part, value in date_parts(np.array([0.5])).items()}
    {'value': 0.5, 'year sin': 0.009, 'year cos': 1.0, 'week sin': 0.434, 'week cos': -0.901, \
'day sin': 0.0, 'day cos': -1.0}
    """
    # 1970-01-01 was a Thursday: day 3 of a week that begins on Monday
    cycles = {"year": days / _YEAR, "week": (np.floor(days) + 3.0) / 7.0, "day": days % 1.0}
    parts = {"value": days}
    for name, turns in cycles.items():
        parts[f"{name} sin"] = np.sin(2.0 * np.pi * turns)
        parts[f"{name} cos"] = np.cos(2.0 * np.pi * turns)
    return parts
