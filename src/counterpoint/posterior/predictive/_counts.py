"""Predictive distributions of yes-or-no and of count targets, noise and knowledge apart."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Shaped
from numpy.polynomial.hermite import hermgauss
from torch import Tensor

from counterpoint.posterior.predictive._categorical import probit
from counterpoint.posterior.predictive._predictive import matched

_NODES = 32
_NEWTON = 40


@dataclass(frozen=True)
class BernoulliPredictive:
    """The probability of yes, target by target, and how sure the model is of it.

    Attributes:
        probabilities: of yes, averaged over the posterior.
        knowledge: posterior variance of each probability, from 0 to ``p (1 − p)``.

    >>> half = torch.tensor([[0.5]]).double()
    >>> BernoulliPredictive(half, half / 2).noise  # a coin known to be loaded
    tensor([[0.]], dtype=torch.float64)
    """

    probabilities: Float64[Tensor, "rows ..."]
    knowledge: Float64[Tensor, "rows ..."]

    @property
    def mean(self) -> Float64[Tensor, "rows ..."]:
        """The probabilities."""
        return self.probabilities

    @property
    def noise(self) -> Float64[Tensor, "rows ..."]:
        """``E[p (1 − p)]``, which more rows cannot remove."""
        return (self.probabilities * (1 - self.probabilities) - self.knowledge).clamp_min(0)

    def log_prob(self, target: Shaped[Tensor, "..."]) -> Float64[Tensor, "rows ..."]:
        """Log probability of targets of 0 and 1, in nats.

        Raises:
            InputError: another shape than the probabilities.
        """
        wanted = matched(target, self.probabilities)
        yes = torch.xlogy(wanted, self.probabilities)
        return yes + torch.special.xlog1py(1 - wanted, -self.probabilities)

    def sample(
        self, generator: torch.Generator | None = None, draws: int = 1
    ) -> Float64[Tensor, "draws rows ..."]:
        """Draws of 0 and 1.

        Args:
            generator: source of randomness, on the CPU; none means torch's global one.
            draws: how many.
        """
        shape = (draws, *self.probabilities.shape)
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
        return (uniform < self.probabilities.cpu()).double().to(self.probabilities.device)


@dataclass(frozen=True)
class PoissonPredictive:
    """A count whose logarithm of the rate is normal: a Poisson-lognormal mixture.

    Attributes:
        log_rate: mean of the logarithm of the rate.
        log_variance: its posterior variance.

    >>> one = PoissonPredictive(torch.zeros(1, 1).double(), torch.zeros(1, 1).double())
    >>> one.mean.item(), round(one.log_prob(torch.tensor([[0.0]])).item(), 4)  # rate 1
    (1.0, -1.0)
    """

    log_rate: Float64[Tensor, "rows ..."]
    log_variance: Float64[Tensor, "rows ..."]

    @property
    def mean(self) -> Float64[Tensor, "rows ..."]:
        """Expected count: ``exp(m + v/2)``, the mean of the rate."""
        return (self.log_rate + self.log_variance / 2).exp()

    @property
    def noise(self) -> Float64[Tensor, "rows ..."]:
        """Variance of the count at a known rate: the mean of the rate."""
        return self.mean

    @property
    def knowledge(self) -> Float64[Tensor, "rows ..."]:
        """Variance of the rate: ``(e^v − 1) mean²``."""
        return torch.expm1(self.log_variance) * self.mean.square()

    def log_prob(self, target: Shaped[Tensor, "..."]) -> Float64[Tensor, "rows ..."]:
        """Log probability of counts, in nats, by Gauss-Hermite quadrature around the mode.

        Raises:
            InputError: another shape than the rates.
        """
        wanted = matched(target, self.log_rate)
        variance = self.log_variance.clamp_min(1e-12)
        mode = self._mode(wanted, variance)
        # nodes where the integrand is: around its mode, as wide as its curvature allows
        width = (2 / (mode.exp() + 1 / variance)).sqrt()
        nodes, weights = hermgauss(_NODES)
        place, weight = (torch.from_numpy(part).to(mode) for part in (nodes, weights))
        rate = mode[..., None] + width[..., None] * place
        far = (rate - self.log_rate[..., None]).square() / (2 * variance[..., None])
        each = wanted[..., None] * rate - rate.exp() - far + place.square() + weight.log()
        norm = width.log() - (2 * math.pi * variance).log() / 2 - torch.lgamma(wanted + 1)
        return torch.logsumexp(each, -1) + norm

    def _mode(self, wanted: Tensor, variance: Tensor) -> Tensor:
        """Where ``y r − e^r − (r − m)²/2v`` is greatest, by Newton's method from above."""
        rate = torch.maximum(self.log_rate, wanted.clamp_min(1e-300).log())
        for _ in range(_NEWTON):
            slope = wanted - rate.exp() - (rate - self.log_rate) / variance
            rate = rate + slope / (rate.exp() + 1 / variance)
        return rate

    def sample(
        self, generator: torch.Generator | None = None, draws: int = 1
    ) -> Float64[Tensor, "draws rows ..."]:
        """Draws of the count.

        Args:
            generator: source of randomness, on the CPU; none means torch's global one.
            draws: how many.
        """
        shape = (draws, *self.log_rate.shape)
        unit = torch.randn(shape, generator=generator, dtype=torch.float64)
        rate = (self.log_rate.cpu() + self.log_variance.cpu().sqrt() * unit).exp()
        return torch.poisson(rate, generator).to(self.log_rate.device)


def logistic(
    mean: Float[Tensor, "rows ..."], variance: Float[Tensor, "rows ..."]
) -> BernoulliPredictive:
    """Yes-or-no targets of normal logits, by the probit approximation (MacKay 1992).

    >>> logistic(torch.zeros(1, 1), torch.ones(1, 1)).probabilities
    tensor([[0.5000]], dtype=torch.float64)
    """
    flat_mean, flat_variance = mean.double().flatten(), variance.double().flatten()
    logits = torch.stack([torch.zeros_like(flat_mean), flat_mean], 1)
    covariance = flat_variance.new_zeros(len(flat_variance), 2, 2)
    covariance[:, 1, 1] = flat_variance
    found = probit(logits.cpu(), covariance.cpu())
    return BernoulliPredictive(
        found.probabilities[:, 1].view(mean.shape).to(mean.device),
        found.knowledge[:, 1].view(mean.shape).to(mean.device),
    )


def log_normal(
    mean: Float[Tensor, "rows ..."], variance: Float[Tensor, "rows ..."]
) -> PoissonPredictive:
    """Counts whose logarithm of the rate is normal."""
    return PoissonPredictive(mean.double(), variance.double())
