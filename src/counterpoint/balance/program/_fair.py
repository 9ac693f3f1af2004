"""Fair shares: the positive solution of ``C u = b / u^r``."""

import numpy as np

from counterpoint.balance.program._matrices import Array, semidefinite

_LEAST = 1e-8
"""Eigenvalues are raised to this, for where a combination of the gradients is zero, the shares
of that combination would be infinite."""


def fair(cosines: Array, right: Array, power: float = 1.0) -> Array:
    """``u > 0`` with ``(C u)_k = b_k u_k^-r``, (K,), for b > 0 and r > 0.

    The minimum of the strictly convex ``u' C u / 2 - sum_k b_k phi(u_k)`` with ``phi' = u^-r``,
    found by damped Newton steps to the last digits. Eigenvalues of C below 1e-8 count as 1e-8.

    >>> fair(np.eye(2), np.array([4.0, 9.0]))  # u^2 = b
    array([2., 3.])
    """
    matrix = semidefinite(cosines, _LEAST)
    # With u = s v and s^(1 + r) = max b, the largest b is 1.
    scale = float(right.max())
    right = np.maximum(right / scale, 1e-300)
    u = right ** (1.0 / (1.0 + power))
    # The best multiple of that start: u' C u = sum b u^(1 - r).
    u *= (float(right @ u ** (1.0 - power)) / float(u @ matrix @ u)) ** (1.0 / (1.0 + power))
    before = np.inf
    for _ in range(200):
        pull = matrix @ u
        push = right * u**-power
        # In relative steps s = du / u every row is of the size of its own equation.
        gap = u * (push - pull)
        hessian = u[:, None] * matrix * u + np.diag(power * push * u)
        root = 1.0 / np.sqrt(hessian.diagonal())
        step = root * np.linalg.solve(root[:, None] * hessian * root, root * gap)
        length = _length(matrix, right, power, u, step)
        u = u * (1.0 + length * step)
        fall = float(gap @ step)
        # Newton squares the error; where it no longer does, the rest is rounding.
        if length == 0.0 or fall < 1e-28 or (fall < 1e-14 and fall > 0.25 * before):
            break
        before = fall
    return u * scale ** (1.0 / (1.0 + power))


def _length(matrix: Array, right: Array, power: float, u: Array, step: Array) -> float:
    """How much of the step: none may more than nearly vanish, and the slope must not turn back."""
    least = float(step.min())
    length = 1.0 if least > -0.9 else -0.9 / least
    for _ in range(60):
        ahead = u * (1.0 + length * step)
        slope = (u * step) @ (right * ahead**-power - matrix @ ahead)
        start = (u * step) @ (right * u**-power - matrix @ u)
        if slope >= -0.25 * start or start <= 1e-28:
            return length
        length *= 0.5
    return 0.0
