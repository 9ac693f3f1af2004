"""A scale on which a number scatters normally: itself, its logarithm or a power of it."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from counterpoint.posterior import Predictive

_NODES = 24
_ROWS = 4096
"""Rows whose means are integrated at a time: nodes squared numbers for each."""


@dataclass(frozen=True)
class Transform:
    r"""An increasing function :math:`u = T(y)` of numbers that are at least 0, and its inverse.

    .. math:: T(y) = \log(y + c) \quad\text{or}\quad T(y) = (y + c)^p

    What is predicted is normal in :math:`u`, standardised; so its density in :math:`y` has the
    factor :math:`T'(y)`, its quantiles are :math:`T^{-1}` of those in :math:`u`, and its mean is
    the expectation of :math:`T^{-1}`, by Gauss-Hermite quadrature.

    Source: Box & Cox, "An analysis of transformations" (1964).

    Attributes:
        kind: "log" or "power".
        shift: ``c``: half of the smallest positive value where there are zeros, else 0.
        power: ``p``, below 1; of "power" alone.
        mean, scale: of the training rows' ``u``.
        low, high: the least and the greatest ``u`` of the training rows. Further beyond them than
            they are apart nothing is predicted: an exponential of what is not known has no mean.
    """

    kind: Literal["log", "power"]
    shift: float
    power: float
    mean: float
    scale: float
    low: float
    high: float

    @classmethod
    def learn(
        cls, kind: Literal["log", "power"], power: float, values: np.ndarray, weights: np.ndarray
    ) -> "Transform":
        """The transform of a kind for training rows.

        Args:
            kind: which.
            power: of "power".
            values: at least 0, some of them positive.
            weights: of each.
        """
        zeros = bool((values == 0).any())
        # zeros stay apart from the least positive value, and no further than they are
        shift = float(values[values > 0].min()) / 2 if zeros else 0.0
        y = values.astype(np.float64) + shift
        u = np.log(y) if kind == "log" else y**power
        mean = float(np.average(u, weights=weights))
        scale = float(np.sqrt(np.average((u - mean) ** 2, weights=weights)))
        return cls(kind, shift, power, mean, scale or 1.0, float(u.min()), float(u.max()))

    def forward(self, y: Tensor) -> Tensor:
        """``u`` of values, float64; of values that training rows exclude, that of the floor."""
        return self._raw((y.double() + self.shift).clamp_min(self._floor))

    def inverse(self, u: Tensor) -> Tensor:
        """Values of ``u``, never below 0."""
        # a normal reaches below 0, where a power has no inverse
        y = u.exp() if self.kind == "log" else u.clamp_min(0.0) ** (1 / self.power)
        return (y - self.shift).clamp_min(0.0)

    def predicted(self, u: Tensor) -> Tensor:
        """Values of ``u``, not so far beyond the training rows that they would be absurd."""
        apart = self.high - self.low
        return self.inverse(u.clamp(self.low - apart, self.high + apart))

    def log_slope(self, y: Tensor) -> Tensor:
        """``log T'(y)``: what a log density in ``u`` gains in ``y``."""
        y = (y.double() + self.shift).clamp_min(self._floor)
        if self.kind == "log":
            return -y.log()
        return math.log(self.power) + (self.power - 1) * y.log()

    @property
    def _floor(self) -> float:
        """The least ``y + c`` that is told from others: at zero the slope would be infinite."""
        least = self.low - (self.high - self.low)
        if self.kind == "log":
            # exp(-746) is 0 in float64, and 0 has no logarithm
            return math.exp(max(least, -700.0))
        return max(least, self.low / 2) ** (1 / self.power)

    @property
    def words(self) -> str:
        """What the scale is called."""
        return "its logarithm" if self.kind == "log" else f"its power {self.power:.2g}"

    def _raw(self, y: Tensor) -> Tensor:
        return y.log() if self.kind == "log" else y**self.power

    def moments(self, found: Predictive) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, noise and knowledge in ``y``, (N,) each, of a normal in ``u``.

        Also where its tails are a Student's t: the exponential of that has no mean, so that a
        normal of the same variance stands for it.

        Knowledge is the variance of ``E[y | f]`` over what is believed of the mean ``f`` of
        ``u``, noise the expectation of ``Var(y | f)``: the law of total variance.
        """
        nodes, weights = hermegauss(_NODES)
        place, share = torch.from_numpy(nodes), torch.from_numpy(weights / weights.sum())
        parts = [
            self._moments(mean, noise, knowledge, place, share)
            for mean, noise, knowledge in zip(
                found.mean[:, 0].split(_ROWS),
                found.noise[:, 0].split(_ROWS),
                found.knowledge[:, 0].split(_ROWS),
                strict=True,
            )
        ]
        mean, noise, knowledge = (torch.cat(lot) for lot in zip(*parts, strict=True))
        return mean, noise, knowledge

    def _moments(
        self, mean: Tensor, noise: Tensor, knowledge: Tensor, place: Tensor, share: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        believed = mean[:, None] + knowledge.sqrt()[:, None] * place
        # one axis for what is believed of the mean, one for the noise around it
        y = self.predicted(believed[:, :, None] + noise.sqrt()[:, None, None] * place)
        given = y @ share
        total = given @ share
        scatter = ((y - given[:, :, None]).square() @ share) @ share
        return total, scatter, (given - total[:, None]).square() @ share
