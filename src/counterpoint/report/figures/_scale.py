"""From values to positions, and the round values to mark on the way."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Squares and differences of what is drawn stay below the largest float, 1.8e308.
_LARGEST = 1e150
# Its ratio to the largest is still a normal float: smaller ones lose digits.
_SMALLEST = 1e-140


def finite(value: float | None) -> float | None:
    """The value if it can be drawn; None for a gap (absent, NaN, infinite or beyond 1e150).

    >>> finite(2), finite(float("nan")), finite(None)
    (2.0, None, None)
    """
    return float(value) if value is not None and -_LARGEST < value < _LARGEST else None


def extent(values: Iterable[float | None], *, log: bool = False) -> tuple[float, float]:
    """The lowest and the highest value that can be drawn, apart even where all are equal.

    >>> extent([3.0, None, 5.0]), extent([4.0, 4.0]), extent([])
    ((3.0, 5.0), (2.0, 6.0), (0.0, 1.0))
    """
    least = _SMALLEST if log else -_LARGEST
    known = [value for value in values if value is not None and least < value < _LARGEST]
    if not known:
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = float(min(known)), float(max(known))
    # closer together than this, neighbouring ticks would be the same number as written
    if high - low > max(1e-9 * max(abs(low), abs(high)), _SMALLEST):
        return low, high
    if log:
        return low / 2, high * 2
    apart = abs(low) / 2 if abs(low) > _SMALLEST else 1.0
    return low - apart, high + apart


@dataclass(frozen=True)
class Scale:
    """A straight or logarithmic map from `[low, high]` to positions `[start, end]` (user units).

    Calling it gives the position, or None for a gap: a value that cannot be drawn, is outside the
    range, or is not positive on a logarithmic scale.

    >>> Scale(0, 10, start=100, end=200)(2.5), Scale(1, 100, start=0, end=10, log=True)(10)
    (125.0, 5.0)
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float | None) -> float | None:
        """The position of a value, or None for a gap."""
        if value is None or not -_LARGEST < value < _LARGEST or (self.log and value <= 0):
            return None
        if self.log:
            bottom = math.log(self.low)  # differences of logarithms: the ratio may underflow
            share = (math.log(value) - bottom) / (math.log(self.high) - bottom)
        else:
            share = (value - self.low) / (self.high - self.low)
        # what is just outside by rounding is drawn at the edge; what is farther out is a gap
        if not -1e-6 <= share <= 1 + 1e-6:
            return None
        return self.start + share * (self.end - self.start)

    def nearest(self, value: float) -> float:
        """The position of a value, or of the nearer end where it is outside the range."""
        known = finite(value)
        inside = self.low if known is None else min(max(known, self.low), self.high)
        position = self(inside)
        return self.start if position is None else position

    def ticks(self, most: int) -> list[float]:
        """Round values inside the range, at most about so many.

        >>> Scale(0, 10, 0, 1).ticks(5), Scale(1, 1000, 0, 1, log=True).ticks(5)
        ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [1.0, 10.0, 100.0, 1000.0])
        """
        most = max(most, 1)
        if self.log:
            # on less than a decade there may be no two powers of ten; then steps are linear
            powers = self._powers(most)
            if len(powers) >= 2:
                return powers
        step = _round_step((self.high - self.low) / most)
        # whole multiples of the step, not sums of it: 0.1 + 0.2 would be written
        # 0.30000000000000004
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, min(last, first + 4 * most) + 1)]

    def _powers(self, most: int) -> list[float]:
        bottom, top = math.log10(self.low), math.log10(self.high)
        every = max(1, math.ceil((top - bottom) / most))
        # over little more than two decades the powers of ten alone are too few marks
        factors = (1.0, 2.0, 5.0) if top - bottom < 2.2 else (1.0,)
        exponents = range(math.floor(bottom), math.floor(top) + 1)
        marks = [
            factor * 10.0**power for power in exponents if power % every == 0 for factor in factors
        ]
        return [mark for mark in marks if self.low * (1 - 1e-9) <= mark <= self.high * (1 + 1e-9)]


def _round_step(step: float) -> float:
    """The next of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(
        (factor * power for factor in (1, 2, 5) if step <= factor * power * (1 + 1e-9)), 10 * power
    )
