"""A count: Poisson or negative binomial around a rate whose logarithm is predicted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from counterpoint.goals import Likelihood, NegativeBinomial, Poisson
from counterpoint.posterior import Predictive
from counterpoint.seeding import generator
from counterpoint.table.columns._encoded import Encoded
from counterpoint.table.targets._head import Head, MemberPrediction, mixed
from counterpoint.table.targets._number import NumberPrediction, known_without_inputs

_NODES = 20
_NARROWEST = 1e-9
_LARGEST = 1e15
"""Counts up to here are whole numbers in float64, with room to halve intervals of them."""


@dataclass(frozen=True)
class CountPrediction(NumberPrediction):
    """A count of a rate that is not quite known.

    `distribution` is of the logarithm of the rate: its mean, and what is not known of it; in place
    of a noise it has the dispersion, 0 for a Poisson.
    """

    @property
    def dispersion(self) -> float:
        """Alpha: at a known rate `m` the variance is ``m + alpha m²``."""
        return float(self.distribution.noise.mean()) if len(self.distribution.noise) else 0.0

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """The narrowest counts between which the value is with at least probability `level`."""
        low, high = self._quantile((1 - level) / 2), self._quantile((1 + level) / 2)
        for found, chosen in self._by_group:
            asked = min(max(found.level(level), _NARROWEST), 1 - _NARROWEST)
            part, rows = replace(self.rows(chosen), levels=None), chosen.numpy()
            low[rows], high[rows] = part.interval(asked)
        return low, high

    def log_prob(self, actual: Tensor) -> Tensor:
        """See `Prediction`."""
        rates, share = self._rates
        each = torch.stack(
            [-self._likelihood.nll_each(rate, actual.double()) for rate in rates.log().T], 1
        )
        return torch.logsumexp(each + share.log(), 1)

    def pit(self, actual: Tensor) -> Tensor:
        """Predicted probability of less than what was, and a drawn part of that of itself.

        Of a right model it is uniform, as of a number without steps (Czado et al. 2009, eq. 1).
        """
        low, high = self._below(actual.numpy() - 1), self._below(actual.numpy())
        drawn = torch.rand(len(low), generator=generator(0, 14), dtype=torch.float64)
        return torch.from_numpy(low) + drawn * torch.from_numpy(high - low)

    @property
    def _likelihood(self) -> Likelihood:
        alpha = self.dispersion
        return NegativeBinomial(alpha, validate=False) if alpha > 0 else Poisson(validate=False)

    @cached_property
    def _rates(self) -> tuple[Tensor, Tensor]:
        """Rates (N, nodes) and their shares: quadrature of what is believed of the logarithm."""
        nodes, weights = hermegauss(_NODES)
        spread = self.distribution.knowledge.sqrt() * torch.from_numpy(nodes)
        rates = (self.distribution.mean + spread).clamp(-30.0, 30.0).exp()
        return rates, torch.from_numpy(weights / weights.sum())

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        rates, share = self._rates
        mean = rates @ share
        noise = (rates + self.dispersion * rates.square()) @ share
        return mean, noise, (rates - mean[:, None]).square() @ share

    def _below(self, count: np.ndarray) -> np.ndarray:
        """Probability of at most so many, (N,)."""
        from scipy import special  # slow to import, and other targets do without

        rates, share = self._rates[0].numpy(), self._rates[1].numpy()
        whole = np.floor(count)[:, None]
        most = np.maximum(whole, 0.0) + 1.0
        if self.dispersion > 0:
            number = 1 / self.dispersion
            found = special.betainc(number, most, number / (number + rates))
        else:
            found = special.gammaincc(most, rates)
        return np.where(whole[:, 0] < 0, 0.0, found @ share)

    def _quantile(self, level: float) -> np.ndarray:
        """The least count of which at most so many have the probability `level`, (N,)."""
        low = np.full(len(self.mean), -1.0)
        high = np.ceil(self.mean + 10 * self.std + 10)
        while (short := self._below(high) < level).any() and high.max() < _LARGEST:
            high = np.where(short, 2 * high, high)
        # halving: at most `low` is too few, at most `high` is enough
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            enough = self._below(middle) >= level
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return high


@dataclass(frozen=True)
class CountHead(Head):
    """A count; what is learnt of it is its ratio to the mean, whose rate is near one.

    Attributes:
        mean: of the training rows, positive.
        scale: their standard deviation.
        dispersed: whether counts may scatter more than a Poisson's.
    """

    kind: ClassVar[str] = "count"
    noisy: ClassVar[bool] = False

    mean: float
    scale: float
    dispersed: bool

    @property
    def outputs(self) -> int:
        """The logarithm of the rate, over that of the mean."""
        return 1

    @property
    def note(self) -> str:
        """See `Head`."""
        family = "negative binomial" if self.dispersed else "Poisson"
        return f"is predicted as a count, {family} around the rate"

    def read(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Ratios to the mean as float32 (N, 1), and which rows have one."""
        known = ~np.isnan(encoded.numbers[0])
        ratio = np.nan_to_num(self.actual(encoded).numpy() / self.mean)
        return torch.from_numpy(ratio.astype(np.float32)[:, None]), torch.from_numpy(known)

    def taught(self, values: np.ndarray) -> Tensor:
        """See `Head`; a teacher's rate need not be whole, and below zero it is none."""
        return torch.from_numpy((values.clip(0) / self.mean).astype(np.float32)[:, None])

    def actual(self, encoded: Encoded) -> Tensor:
        """The counts, float64 (N,)."""
        # standardising and back rounds; counts are whole
        return torch.from_numpy(np.round(encoded.numbers[0] * self.scale + self.mean))

    def units(self, values: Tensor) -> Tensor:
        """Ratios as counts, float64 (N,)."""
        return (values[:, 0].double() * self.mean).round()

    def deviation(self, variance: float) -> float:
        """See `Head`; of the logarithm of a rate at the mean."""
        return float(np.sqrt(variance)) * self.mean

    def far(self, values: Tensor, most: float) -> Tensor:
        """See `Head`."""
        return ((values[:, 0] - 1) * (self.mean / self.scale)).abs() > most

    def expressible(self, values: Tensor, outputs: int) -> Tensor:
        """All."""
        del outputs
        return torch.ones(len(values), dtype=torch.bool)

    def likelihood(self, noise: float | None = None) -> Poisson:
        """Poisson of the ratio: its rates are best for any dispersion (Gourieroux et al. 1984)."""
        del noise
        return Poisson(validate=False)

    def sure(self, output: Tensor, noise: float | None) -> Predictive:
        """See `Head`."""
        del noise
        return Predictive(output, torch.zeros_like(output), torch.zeros_like(output))

    def renoised(
        self, part: MemberPrediction, noise: Tensor | float | None, between: Tensor | float = 0.0
    ) -> Predictive:
        """See `Head`; its noise follows from its rate and dispersion."""
        del noise
        return Predictive(part.mean, part.noise, part.knowledge + between)

    def joined(self, parts: Sequence[MemberPrediction]) -> Predictive:
        """See `Head`."""
        lots = ([p.mean for p in parts], [p.noise for p in parts], [p.knowledge for p in parts])
        mean, dispersion, knowledge = (torch.cat(lot) for lot in lots)
        return Predictive(mean, dispersion, knowledge)

    def combine(self, parts: Sequence[MemberPrediction]) -> CountPrediction:
        """The mixture of what the members say of the logarithm of the rate."""
        mean, knowledge = mixed(parts)
        dispersion = torch.stack([part.noise for part in parts]).mean(0)
        found = Predictive(mean + float(np.log(self.mean)), dispersion, knowledge)
        return CountPrediction(found)

    def constant(self, values: Tensor, weight: Tensor, rows: int) -> NumberPrediction:
        """Their mean and variance, as of a number."""
        return known_without_inputs(values, weight, rows)
