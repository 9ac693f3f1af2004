"""The program of CAGrad: the best worst case within a ball around the mean."""

import numpy as np

from counterpoint.balance.program._matrices import Array
from counterpoint.balance.program._nonnegative import nonnegative


def farthest(cosines: Array, norms: Array, middle: Array, reach: float) -> Array:
    """Coefficients of the d that maximises ``min_k <g_k, d>`` over ``|d - g| <= c |g|``.

    ``d = sum_l n_l^-1 (m + y)_l g_l`` with g = sum_l m_l g_l / n_l. For a bound mu on the worst
    case, y = ``argmin |d - g|`` subject to ``<g_k, d> >= mu`` is a `nonnegative` program; the
    distance is convex and increases with mu, so Newton's method on it ends at the ball.

    Args:
        cosines: C, (K, K), positive semidefinite.
        norms: n_k = |g_k|, (K,), the largest 1.
        middle: m, the coefficients of the centre on the unit gradients, (K,).
        reach: c, the radius relative to the length of the centre.

    Returns:
        y, (K,), nonnegative. Where the worst case cannot be positive (0 is a convex combination of
        the gradients) and the ball reaches that far, the nearest d with none negative.

    >>> farthest(np.eye(2), np.ones(2), np.array([0.5, 0.5]), 0.5)  # mean g, lengthened
    array([0.25, 0.25])
    """
    pull = cosines @ middle
    radius = reach * float(np.sqrt(max(middle @ pull, 0.0)))
    low = float((norms * pull).min())
    best = np.zeros_like(norms)
    if radius <= 0.0:
        return best
    # The worst case cannot exceed the shortest gradient times the longest d.
    high = float(norms.min()) * radius * (1.0 + 1.0 / reach) * (1.0 + 1e-9)
    # Above 0 there may be no such d: then 0 is the best worst case, so it is the first bound.
    bound = 0.0 if low < 0.0 < high else (low + high) / 2
    for _ in range(80):
        answer = nonnegative(cosines, bound / norms - pull)
        if answer.ray is not None and bound > 0.0:
            return best
        length = _norm(cosines, answer.x)
        if length > radius:
            high = bound
        else:
            low, best = bound, answer.x
        if abs(length - radius) <= 1e-12 * radius:
            return answer.x
        # Newton on the length: its slope is sum_k (y_k / n_k) / |y|.
        if length > 0.0:
            ahead = bound + (radius - length) * length / float((answer.x / norms).sum())
        else:
            ahead = np.nan
        bound = ahead if low < ahead < high else (low + high) / 2
        if high - low <= 1e-15 * max(abs(low), abs(high)):
            break
    return best


def _norm(cosines: Array, x: Array) -> float:
    """|sum_k x_k u_k|."""
    return float(np.sqrt(max(x @ cosines @ x, 0.0)))
