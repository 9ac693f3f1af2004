"""Newton's method with the exact Hessian, damped where that is not positive definite."""

import numpy as np
from jaxtyping import Float64
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from counterpoint.train.full_batch.lines import search
from counterpoint.train.full_batch.objective import Objective, Point
from counterpoint.train.full_batch.outcome import Ending
from counterpoint.train.full_batch.watch import Watch

__all__ = ["newton"]

_FLAT = 0.9
_LEAST = 1e-6  # the first damping, as a share of the largest curvature along a weight
_FACTOR = 4.0


def newton(objective: Objective, watch: Watch, start: Point, rate: float) -> Ending:
    r"""Step :math:`-(H + \tau I)^{-1} g`, then search along it; one step on a bowl.

    :math:`\tau` is 0 where the Hessian is positive definite, and otherwise the least of a sequence
    of multiples, each four times the one before, with which it is (Nocedal & Wright 2006,
    algorithm 3.3): Newton's own step would go uphill, toward a saddle.
    """
    del rate
    here, damping = start, 0.0
    while True:
        matrix = objective.hessian(here.where)
        direction, damping = _direction(matrix, here.gradient, damping)
        there = search(objective, here, direction, before=None, flat=_FLAT)
        if there is None:
            return Ending.NO_DECREASE
        here = there
        watch(here.where)


def _direction(
    matrix: Float64[np.ndarray, "total total"],
    gradient: Float64[np.ndarray, " total"],
    last: float,
) -> tuple[Float64[np.ndarray, " total"], float]:
    """The damped step, and the multiple of the identity that it took.

    Args:
        matrix: the Hessian.
        gradient: of the score.
        last: the damping of the iteration before, near which this one's is looked for.
    """
    scale = float(np.abs(matrix.diagonal()).max()) or 1.0
    damping, first = 0.0, max(_LEAST * scale, last / _FACTOR)
    while True:
        try:
            factor = cho_factor(matrix + damping * np.eye(len(matrix)), lower=True)
        except LinAlgError:
            damping = max(first, _FACTOR * damping)
            continue
        return -cho_solve(factor, gradient), damping
