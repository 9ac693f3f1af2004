"""One line search: as far along a direction as pays."""

import warnings

import numpy as np
from jaxtyping import Float64
from scipy.optimize import line_search

from counterpoint.train.full_batch.objective import Objective, Point

__all__ = ["search"]

_ENOUGH = 1e-4  # of the decrease that the slope promises
_HALVINGS = 60


def search(
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
    size = 1.0 if before is None else min(1.0, 2.02 * (here.score - before) / slope)
    for _ in range(_HALVINGS):
        there = objective.at(here.where + size * direction)
        if there.finite and there.score < here.score + _ENOUGH * size * slope:
            return there
        size /= 2
    return None
