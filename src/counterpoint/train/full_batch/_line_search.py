"""Methods of our own that search along lines: steepest descent, Newton's with damping, BFGS."""

import warnings
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float64

from counterpoint.train.full_batch._objective import Objective, Point
from counterpoint.train.full_batch._observer import IterateObserver
from counterpoint.train.full_batch._outcome import MinimizeEnding

# Nocedal & Wright 2006, section 3.1: c1 "quite small"
_ENOUGH = 1e-4  # of the decrease that the slope promises
_HALVINGS = 60
# the same: 0.9 for Newton and quasi-Newton directions, whose whole step is mostly right
_FLAT = 0.9
_LEAST = 1e-6  # the first damping, as a share of the largest curvature along a weight
# fewer Cholesky factorisations than 2, and still within four of the least
_FACTOR = 4.0
_CURVED = 1e-12  # y's over |y| |s| below which a step says nothing about the curvature


def steepest_descent(
    objective: Objective, observe: IterateObserver, start: Point, rate: float
) -> MinimizeEnding:
    """Go against the gradient as far as pays, again and again (Cauchy 1847).

    The first step is one unit long; later ones begin at the length that would repeat the last
    decrease (Nocedal & Wright 2006, equation 3.60).
    """
    del rate
    # so that the first trial step of `_search`, 2 (f - before) / slope, has length one
    here, before = start, start.score + float(np.linalg.norm(start.gradient)) / 2
    while True:
        there = _search(objective, here, -here.gradient, before=before, flat=0.1)
        if there is None:
            return MinimizeEnding.NO_DECREASE
        here, before = there, here.score
        observe(here.where)


def newton(
    objective: Objective, observe: IterateObserver, start: Point, rate: float
) -> MinimizeEnding:
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
        there = _search(objective, here, direction, before=None, flat=_FLAT)
        if there is None:
            return MinimizeEnding.NO_DECREASE
        here = there
        observe(here.where)


def _direction(
    matrix: Float64[np.ndarray, "total total"],
    gradient: Float64[np.ndarray, " total"],
    last: float,
) -> tuple[Float64[np.ndarray, " total"], float]:
    """The damped step, and the multiple of the identity that it took."""
    from scipy.linalg import cho_factor, cho_solve  # see `_blas`

    scale = float(np.abs(matrix.diagonal()).max()) or 1.0
    damping, first = 0.0, max(_LEAST * scale, last / _FACTOR)
    while True:
        try:
            factor = cho_factor(matrix + damping * np.eye(len(matrix)), lower=True)
        except np.linalg.LinAlgError:
            # from near the last one: the Hessian changes little between iterations
            damping = max(first, _FACTOR * damping)
            continue
        return -cho_solve(factor, gradient), damping


def bfgs(
    objective: Objective, observe: IterateObserver, start: Point, rate: float
) -> MinimizeEnding:
    r"""Step :math:`-B g`, then correct B so that :math:`B y = s` for the change s and y of w and g.

    .. math:: B \leftarrow \left( I - \frac{s y^\top}{y^\top s} \right) B
        \left( I - \frac{y s^\top}{y^\top s} \right) + \frac{s s^\top}{y^\top s}

    (Nocedal & Wright 2006, algorithm 6.1, with the first matrix scaled by their equation 6.20.)
    Written as a correction of rank two it costs P² operations, where scipy multiplies matrices of
    P x P: a hundred times faster at some thousand weights.
    """
    del rate
    here, before = start, start.score + float(np.linalg.norm(start.gradient)) / 2
    inverse: Float64[np.ndarray, "total total"] | None = None
    while True:
        direction = -here.gradient if inverse is None else -_times(inverse, here.gradient)
        there = _search(objective, here, direction, before=before, flat=_FLAT)
        if there is None and inverse is not None:  # once more without what was learnt
            inverse, before = None, here.score + float(np.linalg.norm(here.gradient)) / 2
            continue
        if there is None:
            return MinimizeEnding.NO_DECREASE
        inverse = _corrected(inverse, there.where - here.where, there.gradient - here.gradient)
        # with curvature known the whole step is tried first
        before = here.score if inverse is None else None
        here = there
        observe(here.where)


@cache
def _blas() -> tuple[Any, Any]:
    from scipy.linalg import get_blas_funcs  # slow to import, and training in batches does without

    symv, syr2 = get_blas_funcs(("symv", "syr2"), dtype=np.float64)
    return symv, syr2


def _times(
    inverse: Float64[np.ndarray, "total total"], vector: Float64[np.ndarray, " total"]
) -> Float64[np.ndarray, " total"]:
    return _blas()[0](1.0, inverse, vector, lower=1)


def _corrected(
    inverse: Float64[np.ndarray, "total total"] | None,
    step: Float64[np.ndarray, " total"],
    change: Float64[np.ndarray, " total"],
) -> Float64[np.ndarray, "total total"] | None:
    """The matrix after a step; only its lower triangle is kept up, and in the same memory."""
    along = float(step @ change)
    # y s > 0 keeps the matrix positive definite (their equation 6.7)
    if along <= _CURVED * float(np.linalg.norm(step) * np.linalg.norm(change)):
        return inverse
    if inverse is None:
        # in Fortran order BLAS updates it in place, without a copy of P x P
        inverse = np.asfortranarray(np.eye(len(step)) * (along / float(change @ change)))
    moved = _times(inverse, change)
    mixed = (1 + float(change @ moved) / along) / (2 * along) * step - moved / along
    return _blas()[1](1.0, mixed, step, lower=1, a=inverse, overwrite_a=1)


def _search(
    objective: Objective,
    here: Point,
    direction: Float64[np.ndarray, " total"],
    *,
    before: float | None,
    flat: float,
) -> Point | None:
    """A point along a direction of descent with a lower score; None where there is none.

    scipy's search for the strong Wolfe conditions (Nocedal & Wright 2006, algorithm 3.5); where it
    finds nothing, as at a kink, the step is halved until the score falls (their algorithm 3.1).

    Args:
        objective: what is minimised.
        here: where the line begins.
        direction: with a negative slope.
        before: the score one iteration ago, from which the first step is guessed; None begins with
            the whole direction, as Newton's does.
        flat: the share of the slope that may be left at the end (c2).
    """
    from scipy.optimize import line_search  # see `_blas`

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # scipy warns where it finds nothing
        found = line_search(
            lambda where: objective.at(where).score,
            lambda where: objective.at(where).gradient,
            here.where,
            direction,
            here.gradient,
            here.score,
            before,
            c1=_ENOUGH,
            c2=flat,
            maxiter=20,
        )
    if found[0] is not None:
        there = objective.at(here.where + found[0] * direction)
        # the interpolation may end on the wall that stands in for infinity
        if there.finite and there.score < here.score:
            return there
    return _halved(objective, here, direction, before)


def _halved(
    objective: Objective,
    here: Point,
    direction: Float64[np.ndarray, " total"],
    before: float | None,
) -> Point | None:
    slope = float(here.gradient @ direction)
    # 1.01 times the step that repeats the last decrease (equation 3.60), never above the whole
    size = 1.0 if before is None else min(1.0, 2.02 * (here.score - before) / slope)
    for _ in range(_HALVINGS):
        there = objective.at(here.where + size * direction)
        if there.finite and there.score < here.score + _ENOUGH * size * slope:
            return there
        size /= 2
    return None
