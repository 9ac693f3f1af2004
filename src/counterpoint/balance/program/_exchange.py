"""Small quadratic programs, many at once, by block pivoting."""

import numpy as np

from counterpoint.balance.program._matrices import Array, Mask

_ROUNDS = 12
"""Exchanges tried on all goals at once; what needs more is left to the active set."""


def exchange(cosines: Array, right: Array) -> tuple[Array, Mask]:
    """Try all rows b of `right` at once: ``argmin x' C x / 2 - b' x`` over ``x >= 0``.

    Block pivoting (Portugal, Judice and Vicente, Mathematics of Computation 63, 1994): all goals
    on the wrong side change sides together. Quick, but it may cycle, and needs C to be regular.

    Args:
        cosines: C, (K, K), positive semidefinite.
        right: one program a row, (rows, K), of numbers up to about 1.

    Returns:
        The minimisers, (rows, K), and which rows are, checked, (rows,).

    >>> exchange(np.eye(2), np.array([[1.0, -1.0]]))
    (array([[1., 0.]]), array([ True]))
    """
    x, slack = np.zeros_like(right), -right
    inside = np.zeros(right.shape, dtype=np.bool_)
    unit = np.eye(len(cosines))
    # Opposed gradients make C singular, but b is in its range: so little does not move d.
    firm = cosines + 1e-13 * unit
    for _ in range(_ROUNDS):
        wrong = np.where(inside, x, slack) < -1e-12
        if not wrong.any():
            break
        inside ^= wrong
        both = inside[:, :, None] & inside[:, None, :]
        blocks = np.where(both, firm, unit)
        try:
            x = _solve(blocks, right * inside)
            # Once more for what firmness has cost.
            x = x + _solve(blocks, np.where(inside, right - x @ cosines, 0.0))
        except np.linalg.LinAlgError:
            return x, np.zeros(len(x), dtype=np.bool_)
        slack = x @ cosines - right
    wrong = np.where(inside, x, slack) < -1e-12
    # Numbers that large come from a matrix that is singular but for rounding.
    sound = (np.abs(x).max(1) < 1e6) & (np.abs(np.where(inside, slack, 0.0)).max(1) < 1e-11)
    return np.maximum(x, 0.0), sound & ~wrong.any(1)


def _solve(blocks: Array, right: Array) -> Array:
    """One system a row."""
    found = np.linalg.solve(blocks, right[:, :, None])[:, :, 0]
    return np.asarray(found, dtype=np.float64)
