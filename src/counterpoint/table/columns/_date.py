"""Days, and times of day, written in one way throughout a column."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
import pandas as pd

from counterpoint.errors import InputError
from counterpoint.table.columns._numeric import NumericColumn
from counterpoint.table.columns._raw import ParsedColumn, RawColumn

_AMBIGUOUS = "ambiguous"
"""Instead of a format: every date reads with the day first and with the month first."""

_ISO = "ISO8601"
_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y")
_DATES = (_ISO, "%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d")
_TIMES = ("", " %H:%M", " %H:%M:%S")
_MOSTLY = 0.95
_YEAR = 365.2425
_DAY = 86_400


@dataclass(frozen=True)
class Date(NumericColumn):
    """A date, as days since 1970-01-01 in UTC; `form` is the format of its texts."""

    kind: ClassVar[str] = "date"

    @classmethod
    def reject(cls, raw: RawColumn) -> str:
        """See `Column`; years and other numbers are no dates unless told."""
        if raw.nature == "dates":
            return ""
        if raw.nature != "texts":
            return f"it holds {raw.nature}"
        if raw.numeric_share == 1.0:
            return "its cells read as numbers"
        # a word without a digit is no date, and trying every format would only cost time
        if not raw.texts.str.contains(r"\d", regex=True).all():
            return "not every cell has a digit"
        return "" if find_format(raw, _MOSTLY) else "no one way of writing dates fits"

    @classmethod
    def find_form(cls, raw: RawColumn) -> str:
        """The format in which nearly all cells are dates.

        Raises:
            InputError: there is none, or all cells allow the day and the month first.
        """
        if raw.nature == "dates":
            return _ISO
        form, named = find_format(raw, _MOSTLY), f"{raw.where}: column {raw.name!r}"
        if form == _AMBIGUOUS:
            raise InputError(
                f"{named}: is {raw.texts.iloc[0]!r} the day or the month first? Every row allows"
                " both; say --data.dates day-first or --data.dates month-first"
            )
        if form is None:
            raise InputError(
                f"{named}: no one way of writing dates fits its cells, such as"
                f" {raw.texts.iloc[0]!r}; write them like 2024-02-29"
            )
        return form

    def parse(self, raw: RawColumn) -> ParsedColumn:
        """See `UsableColumn`."""
        if raw.nature == "dates":
            stamps = pd.to_datetime(raw.cells, utc=True)
        else:
            stamps = raw.stamps(self.form)
            rule = "a date" if self.form == _ISO else f"a date written {self.form}"
            raw.refuse(stamps.isna().to_numpy() & ~raw.missing, rule)
        # whole seconds reach every year that can be written; nanoseconds end in 2262
        seconds = stamps.dt.tz_localize(None).dt.as_unit("s")
        days = (seconds - pd.Timestamp(0).as_unit("s")).dt.total_seconds() / _DAY
        return ParsedColumn(days.to_numpy(dtype=np.float64, na_value=np.nan), raw.missing)

    def parts(self, data: np.ndarray) -> Mapping[str, np.ndarray]:
        """See `date_parts`."""
        return date_parts(data)

    def summary(self, known: np.ndarray) -> str:
        """See `NumericColumn`."""
        return f"from {self.show(known.min())[:10]} to {self.show(known.max())[:10]}"

    def show(self, value: object) -> str:
        """See `UsableColumn`."""
        seconds = np.datetime64(round(float(str(value)) * _DAY), "s")
        return str(seconds).replace("T", " ").removesuffix(" 00:00:00").removesuffix(":00")


def find_format(raw: RawColumn, share: float = 1.0) -> str | None:
    """The one format in which (nearly) all cells of a column are dates.

    Dots are taken to separate day, month and year, as where they are used; slashes and dashes
    after a day or month are read in the order that all cells allow, or that was told. None: none.

    >>> def found(*cells, dates=""):
    ...     return find_format(RawColumn("day", pd.Series(cells), dates=dates))
    >>> found("2024-02-29", "2024-03-01T12:00"), found("01/02/2024", "13/02/2024")
    ('ISO8601', '%d/%m/%Y')
    >>> found("01/02/2024"), found("1/2/2024", dates="month-first")
    ('ambiguous', '%m/%d/%Y')
    """
    plain = _fitting(raw, _DATES, share)
    if plain is not None:
        return plain
    day, month = _fitting(raw, _DAY_FIRST, share), _fitting(raw, _MONTH_FIRST, share)
    if day is not None and month is not None:
        return {"": _AMBIGUOUS, "day-first": day, "month-first": month}[raw.dates]
    return day if month is None else month


def _fitting(raw: RawColumn, dates: tuple[str, ...], share: float) -> str | None:
    # ISO 8601 has its own ways of writing the time
    forms = (date if date == _ISO else date + clock for date, clock in product(dates, _TIMES))
    return next((form for form in forms if raw.fits(form, share)), None)


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
