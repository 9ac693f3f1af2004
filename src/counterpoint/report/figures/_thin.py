"""Fewer points that look the same."""

from collections.abc import Sequence

from counterpoint.report.figures._mark import Values
from counterpoint.report.figures._scale import finite


def every(count: int, most: int) -> list[int]:
    """The positions of at most so many of `count` things, evenly spread.

    >>> every(10, 4), every(3, 4)
    ([0, 3, 6, 9], [0, 1, 2])
    """
    return list(range(0, count, max(1, -(-count // max(most, 1)))))


def thin(curves: Sequence[Values], most: int) -> list[int]:
    """Positions that keep the look of curves over the same x, gaps and peaks included.

    Cut into stretches; each keeps its ends, and the lowest, the highest and an absent value of each
    curve.

    Args:
        curves: curves of equal length.
        most: about how many positions to keep; all when there are no more than that.

    >>> thin([[0, 0, 9, 0, 0, 0, 0, 0]], 4)
    [0, 2, 7]
    """
    length = len(curves[0]) if curves else 0
    if length <= most:
        return list(range(length))
    # each stretch keeps its two ends, and about one more of each curve
    size = -(-length // max(1, most // (2 + len(curves))))
    kept: set[int] = set()
    for start in range(0, length, size):
        stretch = range(start, min(start + size, length))
        # extremes, not every n-th: a spike of one epoch is what somebody looks for
        kept |= {stretch[0], stretch[-1]}
        for curve in curves:
            kept |= _telling(curve, stretch)
    return sorted(kept)


def _telling(curve: Values, stretch: range) -> set[int]:
    known = [index for index in stretch if finite(curve[index]) is not None]
    absent = [index for index in stretch if finite(curve[index]) is None][:1]
    if not known:
        return set(absent)
    lowest = min(known, key=lambda index: curve[index] or 0.0)
    highest = max(known, key=lambda index: curve[index] or 0.0)
    return {lowest, highest, *absent}
