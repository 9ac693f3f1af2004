"""A number: normal around the network's output, predicted with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from counterpoint.findings import HeldOut, TargetFindings
from counterpoint.goals import Normal
from counterpoint.posterior import Predictive
from counterpoint.posterior.calibration import Conformal
from counterpoint.table.columns._encoded import Encoded
from counterpoint.table.evaluate._measures import covered, finite, number_measures
from counterpoint.table.evaluate._verdict import judge_intervals
from counterpoint.table.targets._head import Head, MemberPrediction, mixed
from counterpoint.table.targets._prediction import Levels, Prediction
from counterpoint.table.targets._transform import Transform

_FARTHEST = float(np.finfo(np.float32).max)
_SHOWN = 400
_NARROWEST = 1e-9


@dataclass(frozen=True)
class NumberPrediction(Prediction):
    """A normal distribution, or a Student's t, for each row, in the units of the table.

    Attributes:
        distribution: mean, noise and knowledge, shapes (N, 1); of the transformed number where
            there is a transform.
        transform: to the scale on which it is normal; none: it is so itself.
        levels: by group of rows, the level of the distribution at which its intervals hold what
            they say; none: the level that is meant.
        groups: of each row, (N,); none where there are no such levels.
    """

    distribution: Predictive
    transform: Transform | None = None
    levels: Levels | None = None
    groups: Tensor | None = None

    def rows(self, chosen: Tensor) -> "NumberPrediction":
        """The prediction of some rows (indices or a mask)."""
        found = self.distribution
        mean, noise, knowledge = found.mean[chosen], found.noise[chosen], found.knowledge[chosen]
        part = Predictive(mean, noise, knowledge, degrees=found.degrees)
        groups = None if self.groups is None else self.groups[chosen]
        return replace(self, distribution=part, groups=groups)

    def conformed(self, levels: Levels, groups: Tensor) -> "NumberPrediction":
        """See `Prediction`."""
        return replace(self, levels=levels, groups=groups)

    @property
    def mean(self) -> np.ndarray:
        """Expected value, (N,)."""
        return self._moments[0].numpy()

    @property
    def std(self) -> np.ndarray:
        """Standard deviation, noise and knowledge together, (N,)."""
        _, noise, knowledge = self._moments
        return (noise + knowledge).sqrt().numpy()

    @property
    def noise(self) -> np.ndarray:
        """Standard deviation of what no amount of rows would tell, (N,)."""
        return self._moments[1].sqrt().numpy()

    @property
    def knowledge(self) -> np.ndarray:
        """Standard deviation of what more rows would tell, (N,)."""
        return self._moments[2].sqrt().numpy()

    @property
    def guess(self) -> np.ndarray:
        """The mean."""
        return self.mean

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """The central interval that holds the value with probability `level`: two (N,)."""
        low, high = self._central(level)
        if self.transform is not None:
            low, high = self.transform.predicted(low), self.transform.predicted(high)
        return low.numpy(), high.numpy()

    def inside(self, actual: Tensor, level: float) -> Tensor:
        """See `Prediction`."""
        low, high = (torch.from_numpy(bound) for bound in self.interval(level))
        return (actual >= low) & (actual <= high)

    def _central(self, level: float) -> tuple[Tensor, Tensor]:
        """The interval on the scale of the distribution, each group's at its own level."""
        bounds = torch.stack(self.distribution.interval(level))[..., 0]
        for found, chosen in self._by_group:
            # the whole line has no width to write, and a point no interval
            asked = min(max(found.level(level), _NARROWEST), 1 - _NARROWEST)
            bounds[:, chosen] = torch.stack(self.rows(chosen).distribution.interval(asked))[..., 0]
        return bounds[0], bounds[1]

    @property
    def _by_group(self) -> list[tuple[Conformal, Tensor]]:
        """The levels of each group that is there, and its rows."""
        if self.levels is None or self.groups is None:
            return []
        found = [int(group) for group in self.groups.unique()]
        every = self.levels[None]
        return [(self.levels.get(group, every), self.groups == group) for group in found]

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, and variances of noise and knowledge, (N,) each."""
        if self.transform is not None:
            return self.transform.moments(self.distribution)
        found = self.distribution
        return found.mean[:, 0], found.noise[:, 0], found.knowledge[:, 0]

    def columns(self, name: str, level: float) -> dict[str, np.ndarray]:
        """Mean, interval and the two standard deviations."""
        low, high = self.interval(level)
        return {
            name: self.mean,
            f"{name} low": low,
            f"{name} high": high,
            f"{name} sd": self.std,
            f"{name} noise sd": self.noise,
            f"{name} knowledge sd": self.knowledge,
        }

    def log_prob(self, actual: Tensor) -> Tensor:
        """See `Prediction`."""
        if self.transform is None:
            return self.distribution.log_prob(actual)[:, 0]
        found = self.distribution.log_prob(self.transform.forward(actual))[:, 0]
        return found + self.transform.log_slope(actual)

    def pit(self, actual: Tensor) -> Tensor:
        """Predicted probability of at most what was, (N,)."""
        if self.transform is not None:
            actual = self.transform.forward(actual)
        found = self.distribution.cdf(actual)[:, 0]
        for conformal, chosen in self._by_group:
            aside = 2 * found[chosen] - 1
            found[chosen] = (1 + aside.sign() * conformal.nominal(aside.abs())) / 2
        return found

    def measures(self, actual: Tensor, weight: Tensor) -> dict[str, float | None]:
        """See `number_measures`."""
        return number_measures(self.mean, self.log_prob(actual), actual, weight)

    def findings(
        self, found: TargetFindings, places: Tensor, actual: Tensor, weight: Tensor, level: float
    ) -> TargetFindings:
        """See `Prediction`: intervals and the rows themselves, every so many."""
        low, high = (torch.from_numpy(bound) for bound in self.interval(level))
        inside = self.inside(actual, level).double()
        share = weight / weight.sum()
        honest = {
            f"coverage of {level:.0%} interval": finite(float(share @ inside)),
            "mean interval width": finite(float(share @ (high - low))),
        }
        shown = torch.linspace(0, len(actual) - 1, min(len(actual), _SHOWN)).long()
        own = (torch.from_numpy(part) for part in (self.mean, self.noise, self.knowledge))
        mean, noise, knowledge = own
        parts = (places + 1, actual, mean, low, high, noise, knowledge)
        return replace(
            found,
            metrics={**found.metrics, **honest},
            interval=level,
            held_out=HeldOut(*(part[shown].tolist() for part in parts)),
            coverage=covered(self.pit(actual), weight),
            verdict=judge_intervals(self.pit(actual), weight, self.mean, level),
        )


@dataclass(frozen=True)
class NumberHead(Head):
    """A number, standardised as ``(x - mean) / scale``, or what a transform makes of it.

    Attributes:
        mean, scale: of the training rows, in the column's units.
        transform: to the scale on which it is predicted; none: its own.
    """

    kind: ClassVar[str] = "number"
    noisy: ClassVar[bool] = True

    mean: float
    scale: float
    transform: Transform | None = None

    @property
    def note(self) -> str:
        """See `Head`."""
        if self.transform is None:
            return ""
        return f"is predicted on the scale of {self.transform.words}, on which it is more normal"

    @property
    def outputs(self) -> int:
        """The standardised mean."""
        return 1

    def read(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Values as float32 (N, 1), and which rows have one."""
        number = encoded.numbers[0]
        if self.transform is not None:
            u = self.transform.forward(self.actual(encoded)).numpy()
            number = (u - self.transform.mean) / self.transform.scale
        # held-out or later rows may be so far that float32 would turn them into infinity
        values = np.nan_to_num(number).clip(-_FARTHEST, _FARTHEST).astype(np.float32)
        return torch.from_numpy(values[:, None]), torch.from_numpy(~np.isnan(number))

    def taught(self, values: np.ndarray) -> Tensor:
        """See `Head`."""
        return self.read(Encoded(numbers=((values - self.mean) / self.scale,)))[0]

    def actual(self, encoded: Encoded) -> Tensor:
        """The column's own values, float64 (N,)."""
        return torch.from_numpy(encoded.numbers[0] * self.scale + self.mean)

    def units(self, values: Tensor) -> Tensor:
        """Standardised values (N, 1) in the column's units, float64 (N,)."""
        if self.transform is None:
            return values[:, 0].double() * self.scale + self.mean
        return self.transform.inverse(
            values[:, 0].double() * self.transform.scale + self.transform.mean
        )

    def deviation(self, variance: float) -> float:
        """See `Head`; of a transformed number in the middle of the training rows."""
        if self.transform is None:
            return math.sqrt(variance) * self.scale
        middle = self.transform.inverse(torch.tensor([self.transform.mean], dtype=torch.float64))
        slope = self.transform.log_slope(middle).exp()
        return math.sqrt(variance) * self.transform.scale / float(slope)

    def far(self, values: Tensor, most: float) -> Tensor:
        """See `Head`."""
        return values.abs()[:, 0] > most

    def expressible(self, values: Tensor, outputs: int) -> Tensor:
        """All."""
        del outputs
        return torch.ones(len(values), dtype=torch.bool)

    def likelihood(self, noise: float | None = None) -> Normal:
        """Normal around the output, by default with unit noise on the standardised scale."""
        # the table's cells were checked once; checking every batch again would only cost time
        return Normal(noise or 1.0, validate=False)

    def sure(self, output: Tensor, noise: float | None) -> Predictive:
        """See `Head`."""
        return Predictive(output, torch.full_like(output, noise or 1.0), torch.zeros_like(output))

    def renoised(
        self, part: MemberPrediction, noise: Tensor | float | None, between: Tensor | float = 0.0
    ) -> MemberPrediction:
        """See `Head`."""
        spread = part.noise
        if noise is not None:
            spread = torch.as_tensor(noise, dtype=torch.float64).expand_as(part.mean)
        return Predictive(part.mean, spread, part.knowledge + between, degrees=_degrees([part]))

    def joined(self, parts: Sequence[MemberPrediction]) -> Predictive:
        """See `Head`."""
        lots = ([p.mean for p in parts], [p.noise for p in parts], [p.knowledge for p in parts])
        return Predictive(*(torch.cat(lot) for lot in lots), degrees=_degrees(parts))

    def combine(self, parts: Sequence[MemberPrediction]) -> NumberPrediction:
        """The distribution of the members' family with the mixture's mean and variance.

        Source: Lakshminarayanan et al. 2017, arXiv 1612.01474, section 2.4.
        """
        mean, knowledge = mixed(parts)
        noise = torch.stack([part.noise for part in parts]).mean(0)
        found = Predictive(mean, noise, knowledge, degrees=_degrees(parts))
        own = self if self.transform is None else self.transform
        return NumberPrediction(found.rescaled(own.scale, own.mean), self.transform)

    def constant(self, values: Tensor, weight: Tensor, rows: int) -> NumberPrediction:
        """Their mean and variance."""
        return known_without_inputs(values, weight, rows)


def known_without_inputs(values: Tensor, weight: Tensor, rows: int) -> NumberPrediction:
    """The mean and variance of known values, for so many rows."""
    # what a reader compares with: the best guess of one who sees no column
    share = weight / weight.sum()
    mean = share @ values
    flat = torch.ones(rows, 1, dtype=torch.float64)
    variance = share @ (values - mean).square() * flat
    return NumberPrediction(Predictive(mean * flat, variance, 0.0 * flat))


def _degrees(parts: Sequence[MemberPrediction]) -> float:
    """Degrees of freedom of the family, which all members share."""
    (first, *_) = parts
    return first.degrees if isinstance(first, Predictive) else math.inf
