"""Predictive distributions of numbers with noise and knowledge kept apart."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from counterpoint.errors import InputError

_LOG_TWO_PI = 1.8378770664093453


@dataclass(frozen=True)
class Predictive:
    """A Gaussian for each row and target, or a Student's t: variance = noise + knowledge.

    Noise is what stays uncertain however much is learned (the variance of the target around its
    mean); knowledge is the posterior variance of that mean, which more rows near by would shrink.

    Attributes:
        mean: expected target.
        noise: variance of the noise, in the target's unit squared.
        knowledge: variance of the mean under the posterior, in the same unit; never negative.
        covariance: joint covariance of the means of all rows, target by target, where
            `predict(..., joint=True)` asked for it; its diagonal is `knowledge`.
        degrees: degrees of freedom, above 2: below infinity a Student's t of the same mean and
            variance, whose tails are heavier. Its scale is ``sqrt(variance (ν − 2) / ν)``.

    >>> zero, one = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    >>> lower, upper = Predictive(zero, 0.6 * one, 0.4 * one).interval(0.95)
    >>> round(upper.item(), 2)
    1.96
    """

    mean: Float64[Tensor, "rows ..."]
    noise: Float64[Tensor, "rows ..."]
    knowledge: Float64[Tensor, "rows ..."]
    covariance: Float64[Tensor, "targets rows rows"] | None = None
    degrees: float = math.inf

    @property
    def variance(self) -> Float64[Tensor, "rows ..."]:
        """Noise + knowledge."""
        return self.noise + self.knowledge

    @property
    def std(self) -> Float64[Tensor, "rows ..."]:
        """Standard deviation of the target."""
        return self.variance.sqrt()

    def quantile(self, level: float) -> Float64[Tensor, "rows ..."]:
        """The value that the target stays below with probability `level`.

        Raises:
            InputError: the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise InputError(f"quantile: the level must be between 0 and 1, found {level}")
        if self._normal:
            place = float(torch.special.ndtri(torch.tensor(level, dtype=torch.float64)))
        else:
            from scipy import special  # slow to import, and normal ones do without

            place = float(special.stdtrit(self.degrees, level)) * self._shrunk
        return self.mean + self.std * place

    def interval(
        self, level: float = 0.9
    ) -> tuple[Float64[Tensor, "rows ..."], Float64[Tensor, "rows ..."]]:
        """The central interval that holds the target with probability `level`: lower, upper.

        Raises:
            InputError: the level is not between 0 and 1.
        """
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def cdf(self, target: Float[Tensor, "..."]) -> Float64[Tensor, "rows ..."]:
        """Probability that the target is at most the value given (its PIT value)."""
        place = (self._matched(target) - self.mean) / self.std
        if self._normal:
            return torch.special.ndtr(place)
        from scipy import special  # torch has no distribution function of Student's t

        found = special.stdtr(self.degrees, (place / self._shrunk).cpu().numpy())
        return torch.as_tensor(found, dtype=torch.float64, device=place.device)

    def log_prob(self, target: Float[Tensor, "..."]) -> Float64[Tensor, "rows ..."]:
        """Log density of targets, in nats, row by row and target by target.

        Args:
            target: of the shape of the mean, or without a last axis of one.

        Raises:
            InputError: another shape than the mean.
        """
        scaled = (self._matched(target) - self.mean).square() / self.variance
        if self._normal:
            return -(scaled + self.variance.log() + _LOG_TWO_PI) / 2
        half = (self.degrees + 1) / 2
        constant = math.lgamma(half) - math.lgamma(half - 0.5)
        constant -= 0.5 * math.log(math.pi * (self.degrees - 2))
        tail = half * torch.log1p(scaled / (self.degrees - 2))
        return constant - self.variance.log() / 2 - tail

    def sample(
        self, generator: torch.Generator | None = None, draws: int = 1
    ) -> Float64[Tensor, "draws rows ..."]:
        """Draws of the target; rows are jointly distributed where `covariance` is at hand.

        Args:
            generator: source of randomness, on the CPU; none means torch's global one.
            draws: how many.
        """
        if not self._normal:
            return self._tailed(generator, draws)
        unit = torch.randn(2, draws, *self.mean.shape, generator=generator, dtype=torch.float64)
        mean_draw, noise_draw = unit.to(self.mean.device)
        if self.covariance is None:
            return self.mean + mean_draw * self.knowledge.sqrt() + noise_draw * self.noise.sqrt()
        values, vectors = torch.linalg.eigh(self.covariance)
        root = vectors * values.clamp_min(0).sqrt()[:, None, :]
        joint = torch.einsum("knm,smk->snk", root, mean_draw)
        return self.mean + joint + noise_draw * self.noise.sqrt()

    def rescaled(
        self, scale: Float[Tensor, "..."] | float, shift: Float[Tensor, "..."] | float = 0.0
    ) -> "Predictive":
        """The distribution of ``scale * target + shift``: back to the units of the table.

        Args:
            scale: one number or one a target; not zero.
            shift: likewise.
        """
        factor = torch.as_tensor(scale, dtype=torch.float64, device=self.mean.device)
        joint = self.covariance
        if joint is not None:
            joint = joint * factor.square().expand(self.mean.shape[1])[:, None, None]
        return replace(
            self,
            mean=self.mean * factor + torch.as_tensor(shift, dtype=torch.float64).to(factor),
            noise=self.noise * factor.square(),
            knowledge=self.knowledge * factor.square(),
            covariance=joint,
        )

    @property
    def _normal(self) -> bool:
        return math.isinf(self.degrees)

    @property
    def _shrunk(self) -> float:
        """The scale of a Student's t of variance one."""
        return math.sqrt((self.degrees - 2) / self.degrees)

    def _tailed(
        self, generator: torch.Generator | None, draws: int
    ) -> Float64[Tensor, "draws rows ..."]:
        """Draws of a Student's t, row by row, by its quantiles."""
        from scipy import special  # see `quantile`

        share = torch.rand(draws, *self.mean.shape, generator=generator, dtype=torch.float64)
        # zero would be minus infinity
        share = share.clamp_min(torch.finfo(torch.float64).eps)
        place = torch.from_numpy(special.stdtrit(self.degrees, share.numpy())) * self._shrunk
        return self.mean + self.std * place.to(self.mean.device)

    def _matched(self, target: Float[Tensor, "..."]) -> Float64[Tensor, "rows ..."]:
        return matched(target, self.mean)


def matched(target: Tensor, like: Tensor) -> Float64[Tensor, "rows ..."]:
    """Targets in the shape of what is predicted: equal, or equal but for a last axis of one."""
    # nothing else is stretched: (rows, 1) beside (rows,) would compare every row with every other
    shape = tuple(target.shape)
    if (*shape, 1) == tuple(like.shape) or shape == (*like.shape, 1):
        target = target.reshape(like.shape)
    if target.shape != like.shape:
        raise InputError(f"target: expected shape {tuple(like.shape)}, found {shape}")
    return target.to(like)
