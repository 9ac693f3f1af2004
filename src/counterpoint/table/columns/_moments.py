"""The ways in which days and times of day are written, and which of them a column has.

A way is "ISO8601", a format of `datetime.strptime`, or a word for a period: "quarter", "week". A
column's form is one of them, or two or three joined by ``|`` where its cells are written so.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas as pd

ISO = "ISO8601"
AMBIGUOUS = "ambiguous"
"""Instead of a form: every date reads with the day first and with the month first."""

_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y", "%d-%m-%y", "%d %m %Y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y", "%m-%d-%y", "%m %d %Y")
_DATES = (ISO, "%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d", "%Y.%m.%d", "%Y %m %d", "%m/%Y", "%Y/%m")
_NAMED = (
    "%d-{} %Y", "%d {} %Y", "%d-{}-%Y", "%d/{}/%Y", "%d. {} %Y", "%d{}%Y", "%d {}, %Y", "%d-{}-%y",
    "%d {} %y", "%d/{}/%y", "{} %d, %Y", "{} %d %Y", "{}-%d-%Y", "{}/%d/%Y", "%Y-{}-%d",
    "%Y {} %d", "%a, %d {} %Y", "%A, %d {} %Y", "%a %d {} %Y", "%A %d {} %Y", "%a, {} %d, %Y",
    "%A, {} %d, %Y", "%a {} %d %Y", "{} %Y", "{}-%Y", "{}/%Y", "{} %y", "{}-%y", "%Y {}", "%Y-{}",
)  # fmt: skip
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p")
_HOURS = ("%I %p", "%I%p", "%Hh%M")
_COMPACT = {
    "%Y%m%d": r"(?:1[89]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])",
    "%Y%m%d%H%M": r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d",
    "%Y%m%d%H%M%S": (
        r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])(?:[0-5]\d){2}"
    ),
    "%Y%m": r"(?:19|20)\d\d(?:0[1-9]|1[0-2])",
}
_CHANCE = {"%Y%m%d": 3, "%Y%m": 8}
"""Distinct cells from which on whole numbers do not read as dates by chance."""

_PERIODS = {
    name: re.compile(
        rf"(?P<y>\d{{4}})[\s/-]*{sign}\s*-?(?P<p>{part})"
        rf"|(?:{sign}\s*-?(?P<p2>{part})|(?P<p3>{part}){sign})[\s/-]*(?P<y2>\d{{4}})"
    )
    for name, sign, part in (
        ("quarter", "[Qq]", "[1-4]"),
        ("half", "[Hh]", "[12]"),
        ("week", "(?:[Ww]|KW|kw)", r"\d{1,2}"),
    )
}
_ZERO = re.compile(r"0{4}[-/.]0{2}[-/.]0{2}(?:[ T]00:00(?::00(?:\.0+)?)?)?|00[-/.]00[-/.]0{4}")
_LIKE_A_DATE = re.compile(r"\d{4}|\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}|\d{1,2}:\d{2}")
_CLOCK = re.compile(
    r"(?P<between>[ ,T]+)\d{1,2}:\d{2}(?P<second>:\d{2})?(?P<part>\.\d+)?"
    r"(?:(?P<gap> ?)(?P<half>[AaPp][Mm]))?$"
)
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTH = re.compile(_MONTHS, re.IGNORECASE)
_GLANCE = re.compile(
    rf"\d{{4}}|\d{{1,2}}[/.\- ]\d{{1,2}}|\d:\d\d|\d ?[ap]\.?m|\dh\d|(?:{_MONTHS})\D*\d",
    re.IGNORECASE,
)
_LETTERS = re.compile("[A-Za-z]{2}|[.]m|\N{NARROW NO-BREAK SPACE}")
_HEAD = 20
_SAMPLE = 100
_MOST_WAYS = 3


def is_nothing(text: str) -> bool:
    """Whether a date of zeros stands for none, as databases write it."""
    return _ZERO.fullmatch(text) is not None


def is_clock(form: str) -> bool:
    """Whether a form has a time of day and no day."""
    return bool(form) and all(way in (*_CLOCKS, *_HOURS) for way in form.split("|"))


def read_stamps(texts: pd.Series, form: str) -> pd.Series:
    """Texts as UTC time stamps by a form; NaT where it does not fit."""
    ways, tidy = form.split("|"), texts.map(_tidy, na_action="ignore")
    # the first way that fits has the cell: unambiguous ways stand before those with an order
    stamps = _stamps(tidy, ways[0])
    for way in ways[1:]:
        stamps = stamps.where(stamps.notna(), _stamps(tidy, way))
    return stamps


def _stamps(texts: pd.Series, way: str) -> pd.Series:
    """Tidy texts as time stamps by one way."""
    if way in _PERIODS:
        # pandas reads neither quarters nor weeks without a day
        texts = texts.map(lambda text: _period(text, way), na_action="ignore")
        way = "%G-W%V-%u" if way == "week" else ISO
    return pd.to_datetime(texts, errors="coerce", format=way, utc=True)


def _tidy(text: str) -> str:
    """A date without what says nothing: 1st, a.m., UTC."""
    if not _LETTERS.search(text):
        return text
    text = re.sub(r"\b([ap])\.\s?m\.?", r"\1m", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text, flags=re.IGNORECASE)
    text = re.sub(r"\bSept\b", "Sep", text, flags=re.IGNORECASE)
    return re.sub(r"\s*\b(?:UTC|GMT)$", "+00:00", text).replace("\N{NARROW NO-BREAK SPACE}", " ")


def _period(text: str, way: str) -> str | None:
    """The first day of a period, as ISO 8601 writes it."""
    found = _PERIODS[way].fullmatch(text.strip())
    if found is None:
        return None
    year, place = found["y"] or found["y2"], int(found["p"] or found["p2"] or found["p3"])
    if way == "week":
        return f"{year}-W{place:02d}-1"
    months = {"quarter": 3, "half": 6}[way]
    return f"{year}-{months * (place - 1) + 1:02d}-01"


def find_compact(texts: pd.Series) -> str | None:
    """The format of dates that are written as whole numbers, such as 20240229.

    >>> find_compact(pd.Series(["20240229", "20240301", "20231231"]))
    '%Y%m%d'
    >>> find_compact(pd.Series(["20240229", "20240301", "20231331"])) is None
    True
    """
    for form, pattern in _COMPACT.items():
        whole = re.compile(pattern)
        if not all(whole.fullmatch(text) for text in texts.head(_HEAD)):
            continue
        # a few customer numbers may look like dates; many of them cannot
        distinct = texts.unique()
        if len(distinct) < _CHANCE.get(form, 1) or not all(map(whole.fullmatch, distinct)):
            continue
        if read_stamps(pd.Series(distinct, dtype=object), form).notna().all():
            return form
    return None


def find_ways(texts: pd.Series, share: float, order: str = "") -> str | None:
    """The form in which (nearly) all texts are dates or times.

    Dots are taken to separate day, month and year, as where they are used; slashes and dashes
    after a day or month are read in the order that all cells allow, or that was told. None: none.

    Args:
        texts: of the cells that hold something.
        share: of them, how many have to be dates.
        order: "day-first" or "month-first", where it was told.

    >>> def found(*cells, order=""):
    ...     return find_ways(pd.Series(cells), 1.0, order)
    >>> found("2024-02-29", "2024-03-01T12:00"), found("01/02/2024", "13/02/2024")
    ('ISO8601', '%d/%m/%Y')
    >>> found("01/02/2024"), found("1/2/2024", order="month-first")
    ('ambiguous', '%m/%d/%Y')
    >>> found("1 Feb 2024", "2024-02-02"), found("8:15 am", "12:30 PM"), found("2024Q1", "2024Q3")
    ('ISO8601|%d %b %Y', '%I:%M %p', 'quarter')
    """
    # trying formats is slow, and most texts show at a glance that they are no dates
    if texts.head(_HEAD).str.contains(_GLANCE).mean() < share:
        return None
    suffixes = _suffixes(texts.head(_HEAD))
    one = _first(texts, _plain_ways(texts.head(_HEAD), suffixes), share)
    if one is not None:
        return one
    day, month = (
        _first(texts, _with_clocks(dates, suffixes), share) for dates in (_DAY_FIRST, _MONTH_FIRST)
    )
    # one order for all cells: 01/02 and 13/02 of one column are not read in two
    if day is not None and month is not None:
        return {"": AMBIGUOUS, "day-first": day, "month-first": month}[order]
    return day or month or _several(texts, share, order)


def _plain_ways(texts: pd.Series, suffixes: Sequence[str]) -> Iterable[str]:
    """Every way but those in which the day and the month may be either."""
    yield ISO
    yield from (*_CLOCKS, *_HOURS, *_PERIODS)
    yield from _with_clocks(("%Y-%m-%d", *_DATES[1:]), suffixes)
    if texts.str.contains(_MONTH).any():
        months = tuple(form.format(month) for month in ("%b", "%B") for form in _NAMED)
        yield from _with_clocks(months, suffixes)


def _with_clocks(dates: tuple[str, ...], suffixes: Sequence[str]) -> Iterable[str]:
    return (date + clock for clock, date in product(suffixes, dates))


def _suffixes(texts: pd.Series) -> list[str]:
    """The times of day behind dates, as formats; formats are slow to try, so only these are."""
    found = [_CLOCK.search(text) for text in texts.map(_tidy)]
    return list(dict.fromkeys("" if clock is None else _suffix(clock) for clock in found))


def _suffix(clock: re.Match[str]) -> str:
    hour, second = "%I" if clock["half"] else "%H", ":%S" if clock["second"] else ""
    part, half = ".%f" if clock["part"] else "", clock["gap"] + "%p" if clock["half"] else ""
    return f"{clock['between']}{hour}:%M{second}{part}{half}"


def _first(texts: pd.Series, ways: Iterable[str], share: float) -> str | None:
    # most columns show on their first cells that a format does not fit
    head = texts.head(_HEAD).map(_tidy)
    for way in ways:
        if _stamps(head, way).notna().mean() >= share and _fit(texts, way) >= share:
            return way
    return None


def _fit(texts: pd.Series, form: str) -> float:
    """The share of texts that a form fits."""
    return float(read_stamps(texts, form).notna().mean())


def _several(texts: pd.Series, share: float, order: str) -> str | None:
    """Two or three ways that fit nearly all cells together, the order of day and month the same."""
    if texts.head(_HEAD).str.contains(_LIKE_A_DATE).mean() < share:
        return None
    sample = pd.Series(texts.unique()[:_SAMPLE], dtype=object)
    suffixes = _suffixes(sample)
    sample = sample.map(_tidy)
    plain = _fitting(sample, _plain_ways(sample, suffixes))
    orders = {"day-first": _DAY_FIRST, "month-first": _MONTH_FIRST}
    found = dict[str, str]()
    for name, dates in orders.items():
        form = _cover(plain | _fitting(sample, _with_clocks(dates, suffixes)))
        if order in ("", name) and form and _fit(texts, form) >= share:
            found[name] = form
    # where both orders fit with the rest, the user has to say which
    forms = set(found.values())
    return AMBIGUOUS if len(forms) == 2 else next(iter(forms), None)


def _fitting(texts: pd.Series, ways: Iterable[str]) -> dict[str, np.ndarray]:
    """Which texts each way fits, of the ways that fit some."""
    fits = {way: _stamps(texts, way).notna().to_numpy() for way in ways}
    return {way: rows for way, rows in fits.items() if rows.any()}


def _cover(fits: dict[str, np.ndarray]) -> str:
    """The fewest ways that fit all, each the one that fits most of what is left."""
    ways, left = list[str](), None
    while len(ways) < _MOST_WAYS:
        gains = {
            way: int((rows if left is None else rows & left).sum()) for way, rows in fits.items()
        }
        best = max(gains, key=gains.__getitem__, default="")
        if not gains.get(best):
            break
        ways.append(best)
        left = ~fits[best] if left is None else left & ~fits[best]
    return "|".join(ways)
