"""Are the intervals of a number honest? A verdict on all levels at once, and on parts of the rows.

The probability that was predicted of at most what was (PIT) is uniform where predictions are honest
(Dawid 1984), and so is twice its distance from the middle: large where intervals are too narrow,
small where they are too wide. Both are held against chance by the test of Kolmogorov and Smirnov,
and so is the share of rows inside the intervals of each third of the predictions, by its binomial.
"""

import numpy as np
from torch import Tensor

from counterpoint.findings import CoveredPart, IntervalVerdict, Judgement

_CHANCE = 0.05
_TELLS = 0.05
"""Rows cannot tell where chance alone moves the share inside by more than this, either way."""

_TESTS = 5  # two of the whole curve, three of parts: the chance of any false alarm is shared


def judge_intervals(pit: Tensor, weight: Tensor, mean: np.ndarray, level: float) -> IntervalVerdict:
    """What held-out rows say of the intervals of a number.

    Args:
        pit: predicted probability of at most what was, (N,).
        weight: of each row, (N,).
        mean: predicted, (N,).
        level: nominal share of rows inside the intervals that are counted by parts.
    """
    share, place = (weight / weight.sum()).numpy(), pit.numpy()
    far = np.abs(2 * place - 1)
    # so many rows of equal weight would tell as much (Kish 1965, section 11.7)
    rows = float(1 / (share**2).sum())
    thirds = np.array_split(np.argsort(mean, kind="stable"), 3 if len(mean) >= 3 else 1)
    parts = [_part(mean[part], far[part] <= level, share[part]) for part in thirds]
    narrow = bool(share @ far > 0.5)
    # whole numbers of few values are all inside wide intervals, and seldom inside narrow ones
    over = float(share @ (far <= level)) - level
    denied = over > _TELLS if narrow else over < -_TELLS
    width: Judgement = "misshapen" if denied else "narrow" if narrow else "wide"
    chances: list[tuple[Judgement, float]] = [
        (width, _by_chance(far, share, rows)),
        ("lopsided", _by_chance(place, share, rows)),
        (_of_parts(parts, level), min(_luck(part, rows, level) for part in parts)),
    ]
    judgement, chance = min(chances, key=lambda pair: pair[1])
    if chance >= _CHANCE / _TESTS:
        band = 1.96 * (level * (1 - level) / rows) ** 0.5
        judgement = "unknown" if band > _TELLS else "honest"
    return IntervalVerdict(judgement, len(pit), float(share @ place), parts)


def _of_parts(parts: list[CoveredPart], level: float) -> Judgement:
    """What parts that are not by chance say: where all are off to one side, it is the whole."""
    if all(part.observed < level for part in parts):
        return "narrow"
    return "wide" if all(part.observed > level for part in parts) else "uneven"


def _part(mean: np.ndarray, inside: np.ndarray, share: np.ndarray) -> CoveredPart:
    # rows of weight zero count for nothing, and may be all of a part
    observed = float(share @ inside / share.sum()) if share.sum() > 0 else 1.0
    ends = float(mean.min()), float(mean.max())
    return CoveredPart(*ends, len(mean), float(share.sum()), observed)


def _by_chance(uniform: np.ndarray, share: np.ndarray, rows: float) -> float:
    """How likely so large a distance from uniform is by chance."""
    order = np.argsort(uniform, kind="stable")
    after = np.cumsum(share[order])
    below = after - share[order]
    distance = max(np.abs(after - uniform[order]).max(), np.abs(below - uniform[order]).max())
    from scipy.stats import kstwo  # slow to import, and predictions do without

    return float(kstwo.sf(distance, max(1, round(rows))))


def _luck(part: CoveredPart, rows: float, level: float) -> float:
    """How likely a share inside so far from the level is by chance."""
    count = round(rows * part.share)
    if count == 0:
        return 1.0
    from scipy.stats import binomtest  # see above

    return float(binomtest(round(part.observed * count), count, level).pvalue)
