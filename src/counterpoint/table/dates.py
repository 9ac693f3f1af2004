"""Dates: in which format a column writes them, and what a network can use of them."""

from itertools import product

import numpy as np
import pandas as pd

__all__ = ["AMBIGUOUS", "DATE_ORDERS", "date_parts", "find_format", "parse_dates"]

DATE_ORDERS = ("", "day-first", "month-first")
"""What a user may say of the order in dates such as 01/02/2024."""

AMBIGUOUS = "ambiguous"
"""Instead of a format: every date reads with the day first and with the month first."""

_ISO = "ISO8601"
_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y")
_DATES = (_ISO, "%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d")
_TIMES = ("", " %H:%M", " %H:%M:%S")
_YEAR = 365.2425


def parse_dates(texts: pd.Series, form: str) -> pd.Series:
    """Texts as UTC time stamps by one format for the whole column; NaT where it does not fit."""
    return pd.to_datetime(texts, errors="coerce", format=form, utc=True)


def find_format(texts: pd.Series, order: str = "", share: float = 1.0) -> str | None:
    """The one format in which (nearly) all cells of a column are dates.

    Dots are taken to separate day, month and year, as where they are used; slashes and dashes
    after a day or month are read in the order that all cells allow.

    Args:
        texts: the cells, none missing.
        order: see `DATE_ORDERS`; decides where the cells allow both.
        share: of the cells that must fit.

    Returns:
        A format for `parse_dates`, `AMBIGUOUS`, or None.

    >>> find_format(pd.Series(["2024-02-29", "2024-03-01T12:00"]))
    'ISO8601'
    >>> find_format(pd.Series(["01/02/2024", "13/02/2024"]))
    '%d/%m/%Y'
    >>> find_format(pd.Series(["01/02/2024"])), find_format(pd.Series(["1/2/2024"]), "month-first")
    ('ambiguous', '%m/%d/%Y')
    """
    plain = _fitting(texts, _DATES, share)
    if plain is not None:
        return plain
    day, month = _fitting(texts, _DAY_FIRST, share), _fitting(texts, _MONTH_FIRST, share)
    if day is not None and month is not None:
        return {"": AMBIGUOUS, "day-first": day, "month-first": month}[order]
    return day if month is None else month


def _fitting(texts: pd.Series, forms: tuple[str, ...], share: float) -> str | None:
    for date, clock in product(forms, _TIMES):
        form = date if date == _ISO else date + clock
        # most columns show on their first cells that a format does not fit
        for part in (texts.head(20), texts):
            if parse_dates(part, form).notna().mean() < share:
                break
        else:
            return form
    return None


def date_parts(days: np.ndarray) -> dict[str, np.ndarray]:
    """Parts of dates that a network can use; cycles are given as sine and cosine.

    Args:
        days: days since 1970-01-01, missing ones NaN, shape (N,).

    Returns:
        Part name -> float64 of shape (N,), missing ones NaN.

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
