"""A Gaussian over the weights of a count's head: Laplace's approximation, learnt row by row.

The logarithm of the rate is linear in the features. The posterior of earlier rows is the prior of
later ones (Spiegelhalter & Lauritzen 1990), so that an update needs no earlier row.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.posterior import Predictive

_STEPS = 60
_FARTHEST = 30.0


@dataclass(frozen=True)
class CountLayer:
    """What is known of the weights.

    Attributes:
        mean: of the weights, bias last, (F+1, 1); its product with features is the logarithm of
            the rate over the mean of the fit.
        information: what rows say of the weights, (F+1, F+1).
        centre: where that was found: the weights of the last rows learnt.
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
        x = torch.cat([features.double(), torch.ones(len(features), 1).double()], 1)
        y, w = counts.double() * scale, weight.double()
        width = x.shape[1]
        at = torch.zeros(width).double() if before is None else before.mean[:, 0]
        known = torch.zeros(width, width).double()
        if before is not None:
            known = keep * before.information
        start = at.clone()

        def loss(point: Tensor) -> float:
            apart = point - start
            rate = (x @ point).clamp(-_FARTHEST, _FARTHEST).exp() * scale
            fit = _cost(y, rate, dispersion)
            return float(w @ fit + apart @ known @ apart / 2 + prior * point @ point / 2)

        now = loss(at)
        for _ in range(_STEPS):
            rate = (x @ at).clamp(-_FARTHEST, _FARTHEST).exp() * scale
            spread = 1 + dispersion * rate
            slope = x.T @ (w * (rate - y) / spread) + known @ (at - start) + prior * at
            bent = (x * (w * rate / spread)[:, None]).T @ x + known
            step = torch.linalg.solve(bent + prior * torch.eye(width).double(), slope)
            later, size = now, 1.0
            while size > 1e-4 and (later := loss(at - size * step)) > now:
                size /= 2
            if later > now:
                break
            at, gain, now = at - size * step, now - later, later
            if gain <= 1e-10 * (1 + abs(now)):
                break
        rate = (x @ at).clamp(-_FARTHEST, _FARTHEST).exp() * scale
        bent = (x * (w * rate / (1 + dispersion * rate))[:, None]).T @ x + known
        return cls(at[:, None], bent, prior, dispersion, scale)

    def predict(self, features: Tensor) -> Predictive:
        """The logarithm of the rate over the mean of the fit; the dispersion in place of noise."""
        x = torch.cat([features.double(), torch.ones(len(features), 1).double()], 1)
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


def _cost(count: Tensor, rate: Tensor, dispersion: float) -> Tensor:
    """Negative log probabilities, but for what does not depend on the rate."""
    if dispersion == 0:
        return rate - count * rate.log()
    return (count + 1 / dispersion) * torch.log1p(dispersion * rate) - count * rate.log()
