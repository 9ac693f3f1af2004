"""A Gaussian over the weights of a count's head: Laplace's approximation, learnt row by row.

The logarithm of the rate is linear in the features. The posterior of earlier rows is the prior of
later ones (Spiegelhalter & Lauritzen 1990), so that an update needs no earlier row.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.posterior import Predictive
from counterpoint.table.uncertainty._newton import least

_STEPS = 60
_FARTHEST = 30.0


@dataclass(frozen=True)
class CountLayer:
    """What is known of the weights.

    Attributes:
        mean: of the weights, bias last, (F+1, 1); its product with features is the logarithm of
            the rate over the mean of the fit.
        information: what rows say of the weights, (F+1, F+1).
        prior: precision of the weights' prior around 0.
        dispersion: 0 for a Poisson.
        scale: the mean of the fit.
    """

    mean: Tensor
    information: Tensor
    prior: float
    dispersion: float
    scale: float

    @classmethod
    def fit(
        cls,
        features: Tensor,
        counts: Tensor,
        weight: Tensor,
        *,
        prior: float,
        dispersion: float,
        scale: float,
        before: "CountLayer | None" = None,
        keep: float = 1.0,
    ) -> "CountLayer":
        """The posterior of rows, by Fisher scoring with halved steps; convex, or nearly so.

        Args:
            features: (N, F).
            counts: (N,), in units of `scale`.
            weight: of each row, (N,).
            prior: precision.
            dispersion: 0 for a Poisson.
            scale: what the counts were divided by.
            before: what earlier rows said.
            keep: share of that that stays.
        """
        x, y, w = _with_bias(features), counts.double() * scale, weight.double()
        width = x.shape[1]
        start, known = torch.zeros(width).double(), torch.zeros(width, width).double()
        if before is not None:
            start, known = before.mean[:, 0], keep * before.information
        eye = torch.eye(width).double()

        def rate_at(point: Tensor) -> Tensor:
            # a step too far must cost much, and not overflow
            return (x @ point).clamp(-_FARTHEST, _FARTHEST).exp() * scale

        def loss(point: Tensor) -> float:
            apart = point - start
            fit = _cost(y, rate_at(point), dispersion)
            return float(w @ fit + apart @ known @ apart / 2 + prior * point @ point / 2)

        def information_at(rate: Tensor) -> Tensor:
            # expected and not observed: positive definite for every dispersion
            return (x * (w * rate / (1 + dispersion * rate))[:, None]).T @ x + known

        def bent(point: Tensor) -> tuple[Tensor, Tensor]:
            rate = rate_at(point)
            pull = w * (rate - y) / (1 + dispersion * rate)
            slope = x.T @ pull + known @ (point - start) + prior * point
            return slope, information_at(rate) + prior * eye

        at = least(loss, bent, start, steps=_STEPS, tolerance=1e-10)
        # the prior stays out of what rows say, so that the next rows do not count it again
        return cls(at[:, None], information_at(rate_at(at)), prior, dispersion, scale)

    def predict(self, features: Tensor) -> Predictive:
        """The logarithm of the rate over the mean of the fit; the dispersion in place of noise."""
        x = _with_bias(features)
        eye = torch.eye(len(self.mean), dtype=torch.float64)
        root = torch.linalg.cholesky(self.information + self.prior * eye)
        half = torch.linalg.solve_triangular(root, x.T, upper=False)
        mean = x @ self.mean
        knowledge = half.square().sum(0)[:, None]
        return Predictive(mean, torch.full_like(mean, self.dispersion), knowledge)

    def cost(self, other: "CountLayer") -> float:
        """What the rows of this one lose by the weights of another, in nats, to second order."""
        apart = (other.mean - self.mean)[:, 0]
        return float(apart @ self.information @ apart / 2)

    def state(self) -> dict[str, Tensor]:
        """All of it, by name."""
        numbers = {"prior": self.prior, "dispersion": self.dispersion, "scale": self.scale}
        kept = {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}
        return {"mean": self.mean, "information": self.information, **kept}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "CountLayer":
        """What `state` wrote (`LookupError` where a part is missing)."""
        numbers = (float(state[name]) for name in ("prior", "dispersion", "scale"))
        return cls(state["mean"], state["information"], *numbers)


def _with_bias(features: Tensor) -> Tensor:
    return torch.cat([features.double(), torch.ones(len(features), 1).double()], 1)


def _cost(count: Tensor, rate: Tensor, dispersion: float) -> Tensor:
    """Negative log probabilities, but for what does not depend on the rate."""
    if dispersion == 0:
        return rate - count * rate.log()
    return (count + 1 / dispersion) * torch.log1p(dispersion * rate) - count * rate.log()
