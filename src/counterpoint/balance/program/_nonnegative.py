"""The smallest quadratic program: a convex parabola over the positive orthant, by an active set."""

from dataclasses import dataclass

import numpy as np

from counterpoint.balance.program._exchange import exchange
from counterpoint.balance.program._matrices import FLAT, Array, Mask


@dataclass(frozen=True, eq=False)
class Answer:
    """What `nonnegative` found.

    Attributes:
        x: the minimiser, (K,); where there is none, the last point before the ray was met.
        ray: None, or r >= 0 of sum 1 with ``C r = 0`` and ``b' r > 0``, (K,): the program falls
            along it without end.
    """

    x: Array
    ray: Array | None = None


def nonnegative(cosines: Array, right: Array) -> Answer:
    """``argmin x' C x / 2 - b' x`` over ``x >= 0``, for a positive semidefinite C, (K, K).

    Where `exchange` does not settle it, the method of Lawson and Hanson (Solving Least Squares
    Problems, 1974, chapter 23) on C itself: goals enter where the slope is steepest, leave where
    they would become negative; each time the value falls, so no set of goals comes twice. Where C
    is flat on the goals that are in, it steps along the flat instead.

    >>> close = np.array([[1.0, 0.8], [0.8, 1.0]])
    >>> nonnegative(close, np.array([1.0, 0.5])).x  # the second would be negative
    array([1., 0.])
    """
    goals = len(right)
    scale = float(np.abs(right).max(initial=0.0))
    x = np.zeros(goals)
    if not (0.0 < scale < np.inf):
        return Answer(x)
    right = right / scale
    found, settled = exchange(cosines, right[None])
    if settled[0]:
        return Answer(found[0] * scale)
    inside = np.zeros(goals, dtype=np.bool_)
    for _ in range(20 * goals):
        slope = right - cosines @ x
        slope[inside] = -np.inf
        enters = int(slope.argmax())
        if slope[enters] <= 1e-13 + 1e-15 * float(x.sum()):
            break
        inside[enters] = True
        ray = _settle(cosines, right, x, inside)
        if ray is not None:
            return Answer(x * scale, ray)
        if not inside[enters]:
            # Rounding alone let it in: the slope is that of the numbers' last digits.
            break
    return Answer(x * scale)


def _settle(cosines: Array, right: Array, x: Array, inside: Mask) -> Array | None:
    """Move x, in place, to the minimum over the goals inside; they leave at zero. Or the ray."""
    for _ in range(3 * len(right)):
        chosen = inside.nonzero()[0]
        if not len(chosen):
            return None
        block = cosines[chosen[:, None], chosen]
        step, endless = _direction(block, right[chosen] - block @ x[chosen])
        if endless and step.min() >= -1e-9 * step.max():
            ray = np.zeros(len(right))
            ray[chosen] = np.maximum(step, 0.0)
            return ray / ray.sum()
        held = x[chosen]
        falls = (held + step < 0.0) | ((step < 0.0) & endless)
        if not falls.any():
            x[chosen] = held + step
            return None
        lengths = np.full(len(chosen), np.inf)
        lengths[falls] = held[falls] / -step[falls]
        first = lengths.argmin()
        x[chosen] = np.maximum(held + lengths[first] * step, 0.0)
        leaves = chosen[(lengths <= lengths[first]) | (falls & (x[chosen] == 0.0))]
        x[leaves] = 0.0
        inside[leaves] = False
    return None


def _direction(block: Array, slope: Array) -> tuple[Array, bool]:
    """Newton's step, or, where the slope has a part in which C is flat, that part and True."""
    values, vectors = np.linalg.eigh(block)
    parts = slope @ vectors
    flat = values <= FLAT * len(values)
    endless = np.where(flat, parts, 0.0)
    # What lies in the range of C has no part here but rounding's.
    if np.abs(endless).max() > 1e-9:
        return vectors @ endless, True
    return vectors @ np.where(flat, 0.0, parts / np.where(flat, 1.0, values)), False
