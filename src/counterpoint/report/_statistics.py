"""The little statistics that the sentences need; nothing here knows of figures or pages."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from counterpoint.findings import HeldOut, IntervalVerdict, TargetFindings
from counterpoint.report._words import amount, number, percent
from counterpoint.report.figures._scale import finite

_BELOW = 0.025  # and as much above: every sentence speaks of 95 %


def binomial_band(rows: int, share: float) -> tuple[float, float]:
    """Between which shares a count of `rows` trials falls with probability 0.95.

    >>> [round(end, 3) for end in binomial_band(412, 0.9)]
    [0.871, 0.927]
    """
    if rows < 1 or not 0 < share < 1:
        return (0.0, 1.0) if rows < 1 else (float(share > 0), float(share > 0))
    mean, deviation = rows * share, math.sqrt(rows * share * (1 - share))
    # so far on the normal quantiles are within about a row of the exact ones
    if rows > 1_000_000:
        normal = NormalDist(mean, deviation)
        return normal.inv_cdf(_BELOW) / rows, normal.inv_cdf(1 - _BELOW) / rows
    # beyond 12 deviations next to nothing is left, and exp of the logarithm would underflow at 0
    start = max(0, math.floor(mean - 12 * deviation - 12))
    last = min(rows, math.ceil(mean + 12 * deviation + 12))
    total, low, odds = 0.0, start, share / (1 - share)
    chance = math.exp(_log_binomial(rows, start, share))
    for count in range(start, last + 1):
        total += chance
        # P(k + 1) = P(k) (n - k) / (k + 1) p / (1 - p): no binomial coefficient is ever formed
        chance *= (rows - count) / (count + 1) * odds
        if total < _BELOW:
            low = count + 1
        if total >= 1 - _BELOW:
            return low / rows, count / rows
    return low / rows, last / rows


def _log_binomial(rows: int, count: int, share: float) -> float:
    # log n! by the gamma function: the coefficient itself overflows from 1,030 rows on
    ways = math.lgamma(rows + 1) - math.lgamma(count + 1) - math.lgamma(rows - count + 1)
    return ways + count * math.log(share) + (rows - count) * math.log1p(-share)


def wilson(share: float, rows: int) -> tuple[float, float]:
    """The Wilson score interval of a share seen in so many rows (Wilson 1927, equation 8).

    >>> wilson(0.5, 0), [round(end, 3) for end in wilson(0.5, 20)]
    ((0.0, 1.0), [0.299, 0.701])
    """
    if rows < 1:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(1 - _BELOW)
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    inside = share * (1 - share) / rows + z * z / (4 * rows * rows)
    # max: at a share of exactly 1 rounding may leave -1e-17 under the root
    half = z * math.sqrt(max(inside, 0.0)) / (1 + z * z / rows)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Cover:
    """The share of rows inside the intervals of one level, and what chance would allow."""

    level: float
    observed: float
    rows: int
    low: float
    high: float

    @property
    def verdict(self) -> Literal["inside", "below", "above"]:
        """Where the observed share lies: inside what chance allows, below it, or above it."""
        if self.observed < self.low:
            return "below"
        return "above" if self.observed > self.high else "inside"


def expected_cover(target: TargetFindings) -> Cover | None:
    """Coverage at the level nearest to the one asked for; None where it is not known."""
    found = _from_coverage(target) or _from_rows(target)
    if found is None:
        return None
    level, observed, rows = found
    return Cover(level, observed, rows, *binomial_band(rows, level))


def _from_coverage(target: TargetFindings) -> tuple[float, float, int] | None:
    if target.coverage is None or target.coverage.rows < 1:
        return None
    pairs = zip(target.coverage.nominal, target.coverage.observed, strict=False)
    known = [(level, seen) for level, seen in pairs if finite(level) is not None]
    known = [(level, seen) for level, seen in known if finite(seen) is not None]
    if not known:
        return None
    # levels are those of a grid, which need not have the one that was asked for
    level, seen = min(known, key=lambda pair: abs(pair[0] - target.interval))
    return level, seen, target.coverage.rows


def _from_rows(target: TargetFindings) -> tuple[float, float, int] | None:
    held = target.held_out
    if held is None or not held.actual:
        return None
    rows = zip(held.low, held.actual, held.high, strict=False)
    inside = [low <= actual <= high for low, actual, high in rows]
    return target.interval, sum(inside) / max(len(inside), 1), len(inside)


def standardised(held: HeldOut) -> list[float]:
    """Residuals in units of the predicted standard deviation ``sqrt(noise² + knowledge²)``."""
    found: list[float] = []
    rows = zip(held.actual, held.mean, held.noise, held.knowledge, strict=False)
    for actual, mean, noise, knowledge in rows:
        # hypot: the squares alone may overflow
        deviation = math.hypot(noise, knowledge)
        ratio = (actual - mean) / deviation if deviation > 0 else math.nan
        if math.isfinite(ratio):
            found.append(ratio)
    return found


def honesty(target: TargetFindings) -> tuple[str, bool] | None:
    """A sentence on the intervals of a number, and whether it is a warning; None: not known."""
    cover, verdict = expected_cover(target), target.verdict
    if cover is None:
        return None
    level, lead = percent(cover.level), f"{percent(cover.level)} intervals cover"
    lead += f" {percent(cover.observed)} of the rows: "
    if verdict is None:  # findings of an earlier version
        words = {"inside": "as wide as they should be", "below": "too narrow", "above": "too wide"}
        return f"{lead}{words[cover.verdict]}.", cover.verdict != "inside"
    side = "high" if verdict.side < 0.5 else "low"
    said = {
        "honest": "as wide as they should be, at other levels too, and in each third of the rows",
        "narrow": "over all levels they are too narrow",
        "wide": "over all levels they are too wide",
        "misshapen": "at other levels they are off, as where a number has few values",
        "lopsided": f"predictions are too {side}",
        "uneven": f"right for some and not for others: {_worst(verdict, cover.level)}",
        "unknown": f"{amount(verdict.rows, 'row')} cannot tell whether {level} is right; by chance"
        f" alone {percent(cover.low)} to {percent(cover.high)} would be",
    }
    return f"{lead}{said[verdict.judgement]}.", verdict.judgement not in ("honest", "unknown")


def _worst(verdict: IntervalVerdict, level: float) -> str:
    part = max(verdict.parts, key=lambda part: abs(part.observed - level))
    ends = f"{number(part.low)} to {number(part.high)}"
    return f"of those predicted at {ends} they cover {percent(part.observed)}"
