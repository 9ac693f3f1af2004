"""The methods by name: one row each. Ours are files beside this one, the others scipy's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from scipy import optimize

from counterpoint.errors import InputError, nearest
from counterpoint.train.full_batch.adam import adam
from counterpoint.train.full_batch.bfgs import bfgs
from counterpoint.train.full_batch.newton import newton
from counterpoint.train.full_batch.objective import Objective, Point
from counterpoint.train.full_batch.outcome import Ending
from counterpoint.train.full_batch.steepest import steepest_descent
from counterpoint.train.full_batch.watch import Watch

__all__ = ["METHODS", "Method", "method_named"]

Run: TypeAlias = Callable[[Objective, Watch, Point, float], Ending]
"""(what to minimise, whom to tell, where to start, rate) -> why it ended, unless the watch did."""

_NEVER = 2**31 - 1  # the watch ends the iterations, by one rule for all


@dataclass(frozen=True)
class Method:
    """How one method is run.

    Attributes:
        run: the loop.
        noise: whether it bears an objective that differs from one evaluation to the next.
        most: weights, where it holds a matrix of them; none means any number.
    """

    run: Run
    noise: bool = False
    most: int | None = None


@dataclass(frozen=True)
class Scipy:
    """A method of `scipy.optimize.minimize`, its own rules for stopping put out of reach.

    Attributes:
        name: what scipy calls it.
        options: for scipy.
        second: ``"none"``, ``"products"`` of the Hessian with vectors, or the whole ``"matrix"``.
    """

    name: str
    options: Mapping[str, float] = field(default_factory=dict[str, float])
    second: str = "none"

    def __call__(self, objective: Objective, watch: Watch, start: Point, rate: float) -> Ending:
        """Run it; it comes back only where a search found nothing better."""
        del rate

        def both(where: np.ndarray) -> tuple[float, np.ndarray]:
            point = objective.at(where)
            return point.score, point.gradient

        with np.errstate(all="ignore"):
            optimize.minimize(
                both,
                start.where,
                jac=True,
                method=self.name,
                hessp=objective.product if self.second == "products" else None,
                hess=objective.hessian if self.second == "matrix" else None,
                callback=watch,
                options={"maxiter": _NEVER, **self.options},
            )
        return Ending.NO_DECREASE


METHODS: dict[str, Method] = {
    "steepest-descent": Method(steepest_descent),
    "newton": Method(newton, most=4_000),
    "trust-exact": Method(Scipy("trust-exact", {"gtol": 0}, "matrix"), most=4_000),
    "bfgs": Method(bfgs, most=10_000),
    "l-bfgs": Method(Scipy("L-BFGS-B", {"gtol": 0, "ftol": 0, "maxls": 50, "maxfun": _NEVER})),
    "cg": Method(Scipy("CG", {"gtol": 0})),
    "newton-cg": Method(Scipy("Newton-CG", {"xtol": 0}, "products")),
    "trust-ncg": Method(Scipy("trust-ncg", {"gtol": 0}, "products")),
    "trust-krylov": Method(Scipy("trust-krylov", {"gtol": 0}, "products")),
    "adam": Method(adam, noise=True),
}


def method_named(name: str) -> Method:
    """The method of a name.

    Raises:
        InputError: there is none; names the nearest.
    """
    if name not in METHODS:
        raise InputError(f"method: no {name!r}{nearest(name, METHODS, most=len(METHODS))}")
    return METHODS[name]
