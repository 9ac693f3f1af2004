"""The maximum of a costly function of one number: few evaluations, never out of bounds."""

from collections.abc import Callable
from dataclasses import dataclass

_EVALUATIONS = 40
_PARABOLIC = 1.6
"""Width over which the function is trusted to resemble a parabola (log evidence by log prior)."""


@dataclass(frozen=True)
class Peak:
    """The best point found.

    Attributes:
        at: the point.
        bound: ``-1`` or ``1`` if it lies on the lower or upper bound, else ``0``.
        evaluations: of the function, in all.
        converged: whether the point is a maximum to the tolerance, or on a bound.
    """

    at: float
    bound: int
    evaluations: int
    converged: bool


def climb(
    function: Callable[[float], float],
    known: dict[float, float],
    bounds: tuple[float, float],
    *,
    step: float = 0.5,
    tolerance: float = 0.01,
) -> Peak:
    """Find a local maximum by stepping uphill, then by successive parabolas.

    Args:
        function: to maximise.
        known: points and values to start from, at least one; values found are added.
        bounds: least and greatest point.
        step: first step uphill; doubles while the function rises.
        tolerance: the search ends when the top of the parabola through the best point and its
            neighbours is nearer than this to the best point.

    >>> peak = climb(lambda x: -((x - 1.23) ** 2), {0.0: -(1.23**2)}, (-9.0, 9.0))
    >>> round(peak.at, 6), peak.bound
    (1.23, 0)
    """
    lower, upper = bounds
    while len(known) < _EVALUATIONS:
        points = sorted(known)
        best = max(points, key=lambda point: known[point])
        place = points.index(best)
        if place in {0, len(points) - 1}:
            # the best point is an end: the maximum lies beyond it, or on the bound
            outward = -1 if place == 0 and (len(points) > 1 or best > lower) else 1
            proposal = min(max(best + outward * step, lower), upper)
            if proposal in known:
                return Peak(best, -1 if best <= lower else 1, len(known), True)
            step *= 2
        else:
            around = (points[place - 1], best, points[place + 1])
            proposal = _inside(around, known, tolerance)
            if proposal == best:
                return Peak(best, 0, len(known), True)
        known[proposal] = function(proposal)
    return Peak(max(known, key=lambda point: known[point]), 0, len(known), False)


def _inside(
    points: tuple[float, float, float], known: dict[float, float], tolerance: float
) -> float:
    """Where to look next between two lower points; the middle one again when that is the top."""
    left, middle, right = points
    width = right - left
    top = _vertex(points, known)
    # a top near an end would hardly shrink the bracket
    trusted = left + 0.1 * width < top < right - 0.1 * width
    if trusted and abs(top - middle) > tolerance:
        return top
    if (trusted and width < _PARABOLIC) or width < tolerance:
        return middle
    # the wider half, so that the bracket shrinks whatever the function does
    return (middle + right) / 2 if right - middle > middle - left else (middle + left) / 2


def _vertex(points: tuple[float, float, float], known: dict[float, float]) -> float:
    """The top of the parabola through three points of which the middle one is highest."""
    left, middle, right = points
    rise = (known[middle] - known[left]) / (middle - left)
    fall = (known[right] - known[middle]) / (right - middle)
    bend = (fall - rise) / ((right - left) / 2)
    return (left + middle) / 2 - rise / bend if bend < 0 else middle
