"""The methods by name: one row each; ours, scipy's, and Adam of torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch

from counterpoint.errors import one_of
from counterpoint.train.full_batch._line_search import bfgs, newton, steepest_descent
from counterpoint.train.full_batch._objective import Objective, Point
from counterpoint.train.full_batch._observer import IterateObserver
from counterpoint.train.full_batch._outcome import MinimizeEnding

_Loop: TypeAlias = Callable[[Objective, IterateObserver, Point, float], MinimizeEnding]
"""What to minimise, whom to tell, where to start and the rate -> why it ended of itself."""

_NEVER = 2**31 - 1  # the observer ends the iterations, by one rule for all


@dataclass(frozen=True)
class Method:
    """How one method is run.

    Attributes:
        run: the loop.
        noise: whether it bears an objective that differs from one evaluation to the next.
        most: weights, where it holds a matrix of them; none means any number.
    """

    run: _Loop
    noise: bool = False
    most: int | None = None


@dataclass(frozen=True)
class _Scipy:
    """A method of `scipy.optimize.minimize`, its own rules for stopping put out of reach.

    Attributes:
        name: what scipy calls it.
        options: for scipy.
        second: ``"none"``, ``"products"`` of the Hessian with vectors, or the whole ``"matrix"``.
    """

    name: str
    options: Mapping[str, float] = field(default_factory=dict[str, float])
    second: str = "none"

    def __call__(
        self, objective: Objective, observe: IterateObserver, start: Point, rate: float
    ) -> MinimizeEnding:
        """Run it; it comes back only where a search found nothing better."""
        del rate
        from scipy import optimize  # slow to import, and training in batches does without

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
                callback=observe,
                options={"maxiter": _NEVER, **self.options},
            )
        # every other end is raised through scipy by the observer
        return MinimizeEnding.NO_DECREASE


def adam(
    objective: Objective, observe: IterateObserver, start: Point, rate: float
) -> MinimizeEnding:
    """Adam as torch has it, at a constant rate (Kingma & Ba 2015)."""
    # a copy: Adam changes it in place, and the objective remembers its points
    weights = torch.from_numpy(start.where.copy())
    optimiser = torch.optim.Adam([weights], lr=rate)
    here = start
    while True:
        if not np.isfinite(here.gradient).all():
            return MinimizeEnding.NON_FINITE
        weights.grad = torch.from_numpy(here.gradient.copy())
        optimiser.step()
        here = objective.at(weights.numpy())
        observe(here.where)


METHODS: dict[str, Method] = {
    "steepest-descent": Method(steepest_descent),
    "newton": Method(newton, most=4_000),
    "trust-exact": Method(_Scipy("trust-exact", {"gtol": 0}, "matrix"), most=4_000),
    "bfgs": Method(bfgs, most=10_000),
    "l-bfgs": Method(_Scipy("L-BFGS-B", {"gtol": 0, "ftol": 0, "maxls": 50, "maxfun": _NEVER})),
    "cg": Method(_Scipy("CG", {"gtol": 0})),
    "newton-cg": Method(_Scipy("Newton-CG", {"xtol": 0}, "products")),
    "trust-ncg": Method(_Scipy("trust-ncg", {"gtol": 0}, "products")),
    "trust-krylov": Method(_Scipy("trust-krylov", {"gtol": 0}, "products")),
    "adam": Method(adam, noise=True),
}


def method_named(name: str) -> Method:
    """The method of a name.

    Raises:
        InputError: there is none; names the nearest.
    """
    return METHODS[one_of("method", name, METHODS)]
