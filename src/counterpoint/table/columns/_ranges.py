"""Ranges that part a scale, such as ages 18-24, 25-34 and 65+, as the middle of each."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from counterpoint.table.columns._cells import plain, read_cell
from counterpoint.table.columns._signs import fits_pair, value_of

RANGES = "ranges"
"""The form of a column of numbers that are the middles of ranges."""

_TWO = re.compile(r"(?P<low>.+?)\s*(?:-|\.\.|\bto\b|\bbis\b)\s*(?P<high>.+)", re.IGNORECASE)
_INTERVAL = re.compile(r"[(\[]\s*(?P<low>[^,;]+)[,;]\s*(?P<high>[^,;]+)[)\]]")
# the other way of writing thousands would need a second form, and what is left is a category
_PAIR = (".", ",")
_HEAD = 20
_MOST = 200
_FEWEST = 3
_HALF = 0.5


def middle_of(text: str) -> float:
    """The middle of a range; a limit or a number is itself, and what is neither NaN.

    >>> middle_of("18-24"), middle_of("$50k to $100k"), middle_of("(0, 1]"), middle_of("90+")
    (21.0, 75000.0, 0.5, 90.0)
    """
    low, high = _ends(text)
    return (low + high) / 2


def are_ranges(texts: pd.Series) -> bool:
    """Whether texts are ranges that do not overlap, and limits or numbers between them.

    Results of matches, and numbers that have a dash in them, overlap.

    >>> are_ranges(pd.Series(["0-9", "10-19", "20-29", "30+"]))
    True
    >>> are_ranges(pd.Series(["0-2", "1-3", "1-2", "0-4"]))
    False
    """
    # most columns show on their first cells that they are none
    head = texts.head(_HEAD)
    if head.empty or np.isnan([middle_of(text) for text in head]).any():
        return False
    counts = texts.value_counts()
    if len(counts) > _MOST:
        return False
    ends = np.array([_ends(str(text)) for text in counts.index])
    wide = ends[:, 0] < ends[:, 1]
    mostly = counts.to_numpy()[wide].sum() >= _HALF * len(texts)
    return bool(mostly) and len(ends) >= _FEWEST and int(wide.sum()) > 1 and _apart(ends)


def _apart(ends: np.ndarray) -> bool:
    if np.isnan(ends).any():
        return False
    low, high = ends[np.lexsort(ends.T[::-1])].T
    # a range may begin where the one before ends
    return bool((high[:-1] <= low[1:]).all())


def _ends(text: str) -> tuple[float, float]:
    text = plain(text)
    one = _value(text)
    if not np.isnan(one):
        return one, one
    found = _INTERVAL.fullmatch(text) or _TWO.fullmatch(text)
    if found is None:
        return np.nan, np.nan
    low, high = _values(found["low"], found["high"])
    return (low, high) if low < high else (np.nan, np.nan)


def _values(low: str, high: str) -> Sequence[float]:
    """Both ends, in one unit: that of the second where the first has none, as in 50-100k."""
    first, second = read_cell(low), read_cell(high)
    if first is None or second is None or first.limit or second.limit:
        return np.nan, np.nan
    bare = not (first.after or first.factor != 1)
    return _value(low) * (second.factor if bare else 1.0), _value(high)


def _value(text: str) -> float:
    cell = read_cell(text)
    if cell is None or not fits_pair(cell.core, _PAIR):
        return np.nan
    value = float(value_of(cell.core, _PAIR) + cell.exponent) * cell.factor
    return -value if cell.negative else value
