"""Is the score a function at all? Asked before a minimisation and after it."""

import numpy as np
from jaxtyping import Float64

from counterpoint.errors import InputError
from counterpoint.train._outcome import NonFiniteError
from counterpoint.train.full_batch._objective import Objective, Point

_STEADY = 1e-9  # relative; sums in another order on a GPU differ by less, draws by more


def first_point(
    objective: Objective, start: Float64[np.ndarray, " total"], *, noise_allowed: bool
) -> Point:
    """The point to start from, computed twice."""
    first = _translated(objective, start)
    if not first.finite:
        raise NonFiniteError(_blame(objective, start))
    second = objective.fresh(start)
    objective.noisy = not steady(first, second)
    if objective.noisy and not noise_allowed:
        raise InputError(_name_noise(objective, first, second))
    objective.keep(second)
    return second


def changed(objective: Objective) -> bool:
    """Whether the best point, computed again, has another score or gradient."""
    if objective.best is None or objective.noisy:
        return False
    return not steady(objective.best, objective.fresh(objective.best.where))


def steady(one: Point, two: Point) -> bool:
    """Whether two evaluations of the same weights agree but for rounding."""
    close = abs(one.score - two.score) <= _STEADY * max(abs(one.score), abs(two.score))
    steep = max(one.slope, two.slope)
    return bool(close and np.abs(one.gradient - two.gradient).max() <= _STEADY * steep)


def _translated(objective: Objective, start: Float64[np.ndarray, " total"]) -> Point:
    """The first evaluation of all, in which a goal that holds float32 tensors of its own fails."""
    try:
        return objective.fresh(start)
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        if not any(word in reason for word in ("dtype", "Double", "double")):
            raise
        raise InputError(
            f"goals: the model computes in float64 while it is minimised ({reason}); hand the data"
            " over as batch=, or as float64"
        ) from error


def _blame(objective: Objective, where: Float64[np.ndarray, " total"]) -> str:
    for name, point in objective.each(where).items():
        if not np.isfinite(point.score):
            return f"goal {name!r}: not finite ({point.score}) at the weights to start from"
        if not point.finite:
            return f"goal {name!r}: its gradient is not finite at the weights to start from"
    return "goals: their mean is not finite at the weights to start from"


def _name_noise(objective: Objective, first: Point, second: Point) -> str:
    one, two = objective.each(first.where), objective.each(first.where)
    moved = [name for name in one if not steady(one[name], two[name])]
    who = f"goal {moved[0]!r}" if moved else "goals"
    return (
        f"{who}: noisy: the same weights gave the score {first.score:.10g} and then"
        f" {second.score:.10g}, or another gradient; hold random draws, put dropout into evaluation"
        " mode (model.eval()), or use the method 'adam'"
    )
