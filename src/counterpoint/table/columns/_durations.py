"""Lengths of time, as seconds."""

import re

import numpy as np
import pandas as pd

DURATION = "duration"
"""The form of a column of numbers that are seconds."""

_NUMBER = r"\d+(?:\.\d+)?"
_UNITS = {
    "d": r"d|days?",
    "h": r"h|hrs?|hours?",
    "m": r"m|mins?|minutes?",
    "s": r"s|secs?|seconds?",
}
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_WORDS = re.compile(
    r"\s*,?\s*".join(rf"(?:(?P<{u}>{_NUMBER})\s*(?:{words})\b)?" for u, words in _UNITS.items()),
    re.IGNORECASE,
)
_COLONS = re.compile(
    rf"(?:(?P<d>\d+)\s*(?:d|days?),?\s+)?(?P<h>\d+):(?P<m>\d\d)(?::(?P<s>{_NUMBER}))?"
)
_ISO = re.compile(
    rf"P(?:(?P<d>{_NUMBER})D)?(?:T(?:(?P<h>{_NUMBER})H)?(?:(?P<m>{_NUMBER})M)?"
    rf"(?:(?P<s>{_NUMBER})S)?)?"
)
_HEAD = 20


def seconds_of(text: str) -> float:
    """A length of time in seconds; NaN where the text is none.

    >>> seconds_of("1h 30m"), seconds_of("PT1M5S"), seconds_of("-2 days, 03:00:00")
    (5400.0, 65.0, -183600.0)
    """
    text = text.strip()
    sign, body = (-1.0, text[1:]) if text.startswith(("-", "−")) else (1.0, text)
    for pattern in (_WORDS, _COLONS, _ISO):
        found = pattern.fullmatch(body)
        parts = {} if found is None else {u: t for u, t in found.groupdict().items() if t}
        if parts:
            return sign * sum(float(part) * _SECONDS[unit] for unit, part in parts.items())
    return float("nan")


def are_durations(texts: pd.Series) -> bool:
    """Whether texts are lengths of time: of several units, or of more hours than a day has.

    One unit throughout is that of a number, and a clock of less than a day a time of day.

    >>> are_durations(pd.Series(["1h 30m", "45m"])), are_durations(pd.Series(["36:15", "8:00"]))
    (True, True)
    >>> are_durations(pd.Series(["8:15", "9:00"])), are_durations(pd.Series(["5 h", "6 h"]))
    (False, False)
    """
    # most columns show on their first cells that they are none
    head = texts.head(_HEAD)
    if head.empty or np.isnan([seconds_of(text) for text in head]).any():
        return False
    distinct = texts.unique()
    if np.isnan([seconds_of(text) for text in distinct]).any():
        return False
    return any(_is_long(text) for text in distinct)


def _is_long(text: str) -> bool:
    body = text.strip().lstrip("-−")
    # 8:15 alone is a time of day; 36:15 cannot be one
    clock = _COLONS.fullmatch(body)
    if clock is not None:
        return clock["d"] is not None or int(clock["h"]) >= 24
    if body.startswith("P"):
        return True
    found = _WORDS.fullmatch(body)
    return found is not None and len([part for part in found.groupdict().values() if part]) > 1
