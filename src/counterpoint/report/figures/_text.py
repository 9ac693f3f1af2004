"""How wide a text will be, roughly, and how ticks are written."""

import math
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

TickKind: TypeAlias = Literal["number", "whole", "percent"]

SIZE = 12.0
"""Of the figures' texts, in user units; the same as in `assets/figure.css`."""

# Advance widths by rough classes: no font is known here, and a page must not load one to measure.
_NARROW = frozenset("iljtfrI.,:;'|!()[]- ")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def text_width(text: str, size: float = SIZE) -> float:
    """The width of a text in user units, estimated for a wide sans serif of the given size."""
    return size * sum(map(_advance, text))


@lru_cache(maxsize=4096)
def _advance(character: str) -> float:
    if character in _NARROW:
        return 0.38
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if unicodedata.combining(character):
        return 0.0
    return 0.7 if character.isupper() or character in "mwMW%" else 0.6


def shorten(text: str, most: int) -> str:
    """At most so many characters, the middle left out: names often differ at their ends.

    >>> shorten("a_very_long_column_name", 11)
    'a_very…name'
    """
    if len(text) <= most:
        return text
    # three fifths for the beginning, which is what people read first
    tail = (most - 1) * 2 // 5
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def power_of_ten(exponent: int) -> str:
    """Ten to a whole power, as in print.

    >>> power_of_ten(-3)
    '10⁻³'
    """
    return f"10{str(exponent).translate(_SUPERSCRIPT)}"


def fit(text: str, width: float, size: float = SIZE) -> str:
    """The text, its middle left out where it is wider than `width`."""
    # each letter is measured, and no figure has room for so many
    text = text[:400]
    if text_width(text, size) <= width:
        return text
    # no text of more than width / (0.3 size) letters fits, since none is narrower than 0.38
    for most in range(min(len(text) - 1, int(width / (0.3 * size)) + 1), 1, -1):
        short = shorten(text, most)
        if text_width(short, size) <= width:
            return short
    return "…"


def tick_texts(ticks: Sequence[float], kind: TickKind = "number") -> list[str]:
    """The ticks of one axis, all with the same number of decimals and the same unit.

    >>> tick_texts([0.0, 0.5, 1.0]), tick_texts([0.0, 250000.0]), tick_texts([0.5], "percent")
    (['0', '0.5', '1.0'], ['0', '250k'], ['50 %'])
    """
    if kind == "percent":
        return [text + " %" for text in _plain([100 * tick for tick in ticks])]
    # one unit for the whole axis: 500 beside 1.5k would be read as larger
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if largest >= 1e12 or 0 < largest < 1e-4:
        return [_power(tick) for tick in ticks]
    for size, unit in ((1e9, "bn"), (1e6, "M"), (1e4, "k")):
        if largest >= size:
            divisor = 1e3 if unit == "k" else size
            plain = _plain([tick / divisor for tick in ticks])
            return [text if text == "0" else text + unit for text in plain]
    return _plain(ticks)


def _plain(ticks: Sequence[float]) -> list[str]:
    # twelve decimals: what rounding leaves of a multiple of the step is beyond
    texts = [f"{tick:.12f}".rstrip("0").rstrip(".") for tick in ticks]
    spread = max((abs(tick) for tick in ticks), default=0.0)
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    decimals = min(decimals, 8)
    if spread > 0 and max(ticks) / max(min(abs(t) for t in ticks if t) or 1, 1e-12) >= 100:
        chosen = texts  # a logarithmic axis: 0.01, 0.1, 1 rather than 0.01, 0.10, 1.00
    else:
        chosen = ["0" if tick == 0 else f"{tick:.{decimals}f}" for tick in ticks]
    return ["0" if text in ("-0", "") else text.replace("-", "−") for text in chosen]


def _power(tick: float) -> str:
    if tick == 0:
        return "0"
    # the logarithm of a power of ten may come out just below its exponent
    exponent = math.floor(math.log10(abs(tick)) + 1e-9)
    factor = f"{tick / 10.0**exponent:.2f}".rstrip("0").rstrip(".").replace("-", "−")
    power = power_of_ten(exponent)
    return power if factor == "1" else f"{factor}×{power}"
