r"""The evidence of a linear-Gaussian model, and the prior and noise at which it is greatest.

With ``w ~ N(0, I/α)`` and ``y = Φ w + N(0, σ²)``, in the eigenbasis ``Φ'Φ = U diag(d) U'`` with
``z = U'Φ'y``, ``s = y'y``, ``λ = α σ²`` everything is a sum over d::

    q(λ)   = s − Σ z²/(d + λ)         = |y − Φm|² + λ|m|²   at the posterior mean m
    log p(y | α, σ²) = −½ [n log 2πσ² + q/σ² + Σ log(1 + d/λ)]
    γ(λ)   = Σ d/(d + λ)              effective number of weights

so one eigendecomposition serves every target. For a given ``λ`` the best noise is ``σ² = q/n``;
what remains is one number a target. Its stationary points are the fixed points of MacKay (1992,
Bayesian interpolation, eqs. 4.5 to 4.8), ``α = γ/|m|²`` and ``σ² = |y − Φm|²/(n − γ)``; but where
the fixed point creeps, or runs away when the features carry nothing or fit perfectly, a grid over
``log λ`` and a search for zero slope find the greatest of them in a bounded number of steps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from counterpoint.posterior._status import TuningEnding
from counterpoint.posterior.last_layer._statistics import Statistics

NOISE_FLOOR = 1e-12
"""Least noise variance, relative to a target's mean square: where float64 sums lose their sense."""

_RATIO = (1e-14, 1e8)
"""Range of ``λ`` relative to the greatest eigenvalue of the Gram matrix."""

_GRID_STEP = 1.0
_ROOT_STEPS = 80

PerTarget = Float64[Tensor, " targets"]


@dataclass(frozen=True)
class Spectrum:
    """The statistics in the eigenbasis of the Gram matrix.

    Attributes:
        values: ``d``, not negative; those below rounding are zero.
        vectors: ``U``, one eigenvector a column.
        projected: ``z = U'Φ'Y``.
        square: ``s`` for each target.
        weight: ``n``.
    """

    values: Float64[Tensor, " width"]
    vectors: Float64[Tensor, "width width"]
    projected: Float64[Tensor, "width targets"]
    square: PerTarget
    weight: float

    @classmethod
    def of(cls, statistics: Statistics) -> "Spectrum":
        """One symmetric eigendecomposition of the Gram matrix."""
        values, vectors = torch.linalg.eigh(statistics.gram)
        resolution = torch.finfo(torch.float64).eps * len(values) * values[-1]
        resolved = values > resolution
        projected = vectors.T @ statistics.cross
        return cls(
            values=torch.where(resolved, values, 0.0),
            vectors=vectors,
            projected=torch.where(resolved[:, None], projected, 0.0),
            square=statistics.square,
            weight=statistics.weight,
        )

    def repeated(self, times: int) -> "Spectrum":
        """Every target several times over, so that one call tries several values for each."""
        return replace(
            self, projected=self.projected.repeat(1, times), square=self.square.repeat(times)
        )

    @property
    def floor(self) -> PerTarget:
        """The least noise variance of each target (in units of one for a target that is zero)."""
        mean_square = self.square / self.weight
        return NOISE_FLOOR * torch.where(mean_square > 0, mean_square, 1.0)

    def quadratic(self, ratio: PerTarget) -> PerTarget:
        """``q(λ)``, not below zero."""
        shrunk = self.projected**2 / (self.values[:, None] + ratio)
        return (self.square - shrunk.sum(0)).clamp_min(0)

    def penalty(self, ratio: PerTarget) -> PerTarget:
        """``λ |m|²``."""
        return ratio * (self.projected / (self.values[:, None] + ratio)).square().sum(0)

    def effective(self, ratio: PerTarget) -> PerTarget:
        """``γ(λ)``."""
        return (self.values[:, None] / (self.values[:, None] + ratio)).sum(0)

    def best_noise(self, ratio: PerTarget) -> PerTarget:
        """The noise variance at which the evidence is greatest for a given ``λ``."""
        return torch.maximum(self.quadratic(ratio) / self.weight, self.floor)

    def log_evidence(self, prior: PerTarget, noise: PerTarget) -> PerTarget:
        """``log p(y | α, σ²)`` of each target, in nats."""
        ratio = prior * noise
        spread = torch.log1p(self.values[:, None] / ratio).sum(0)
        fit = self.weight * torch.log(2 * math.pi * noise) + self.quadratic(ratio) / noise
        return -(fit + spread) / 2

    def slope_prior(self, prior: PerTarget, noise: PerTarget) -> PerTarget:
        """Derivative of the log evidence by ``log α``: ``½ (γ − α|m|²)``."""
        ratio = prior * noise
        return (self.effective(ratio) - self.penalty(ratio) / noise) / 2

    def slope_noise(self, prior: PerTarget, noise: PerTarget) -> PerTarget:
        """Derivative of the log evidence by ``log σ²``: ``½ (|y − Φm|²/σ² − n + γ)``."""
        ratio = prior * noise
        residual = self.quadratic(ratio) - self.penalty(ratio)
        return (residual / noise - self.weight + self.effective(ratio)) / 2


@dataclass(frozen=True)
class Tuning:
    """Prior precision and noise variance of each target, and how they were found."""

    prior: PerTarget
    noise: PerTarget
    status: tuple[TuningEnding, ...]
    iterations: int


@dataclass(frozen=True)
class _Line:
    """A curve of (prior, noise) to search: the path, and the slope of the evidence along it."""

    path: Callable[[PerTarget], tuple[PerTarget, PerTarget]]
    slope: Callable[[PerTarget, PerTarget], PerTarget]
    lower: PerTarget
    upper: PerTarget


def tune(spectrum: Spectrum, prior: PerTarget | None, noise: PerTarget | None) -> Tuning:
    """Maximise the evidence over whichever of prior precision and noise variance is not given.

    Deterministic, and never divergent: ``λ`` stays within 1e-14 and 1e8 of the greatest
    eigenvalue, the noise above its floor; a bound that is reached is named in the status.
    """
    if prior is not None and noise is not None:
        return Tuning(prior, noise, (TuningEnding.GIVEN,) * len(prior), 0)
    line = _line(spectrum, prior, noise)
    points = 2 + math.ceil(float((line.upper - line.lower).max()) / _GRID_STEP)
    many = spectrum.repeated(points)
    tried = _line(many, _repeated(prior, points), _repeated(noise, points))
    position = torch.linspace(0, 1, points, dtype=torch.float64)[:, None]
    grid = line.lower + position * (line.upper - line.lower)
    heights = many.log_evidence(*tried.path(grid.reshape(-1))).view(points, -1)
    point, steps = _climb(spectrum, line, grid, heights)
    found_prior, found_noise = line.path(point)
    statuses = _statuses(spectrum, found_prior, found_noise, free_noise=noise is None)
    return Tuning(found_prior, found_noise, statuses, points + steps)


def _repeated(given: PerTarget | None, times: int) -> Float64[Tensor, " targets_times"] | None:
    return None if given is None else given.repeat(times)


def _line(spectrum: Spectrum, prior: PerTarget | None, noise: PerTarget | None) -> _Line:
    floor, scale = spectrum.floor, float(spectrum.values[-1])
    low, high = (torch.full_like(floor, scale * ratio) for ratio in _RATIO)
    if prior is not None:
        top = torch.maximum(spectrum.square, floor * math.e)  # beyond s the evidence only falls
        return _Line(lambda x: (prior, x.exp()), spectrum.slope_noise, floor.log(), top.log())
    if noise is not None:
        lower, upper = (low / noise).log(), (high / noise).log()
        return _Line(lambda x: (x.exp(), noise), spectrum.slope_prior, lower, upper)

    def profile(x: PerTarget) -> tuple[PerTarget, PerTarget]:
        best = spectrum.best_noise(x.exp())
        return x.exp() / best, best

    return _Line(profile, spectrum.slope_prior, low.log(), high.log())


def _climb(
    spectrum: Spectrum,
    line: _Line,
    grid: Float64[Tensor, "points targets"],
    heights: Float64[Tensor, "points targets"],
) -> tuple[PerTarget, int]:
    """The point of the line with the greatest evidence, and the steps taken to it."""
    top, best = heights.max(0)
    last = len(grid) - 1
    left, peak, right = (
        grid.gather(0, (best + shift).clamp(0, last)[None])[0] for shift in (-1, 0, 1)
    )
    found, steps = _level(lambda x: line.slope(*line.path(x)), left, right)
    # Two peaks closer than the grid could mislead the search for zero slope: the grid's best
    # stands where it is higher.
    better = spectrum.log_evidence(*line.path(found)) >= top
    inner = (best > 0) & (best < last)
    return torch.where(better | ~inner, found, peak), steps


def _level(
    slope: Callable[[PerTarget], PerTarget], left: PerTarget, right: PerTarget
) -> tuple[PerTarget, int]:
    """Where a falling slope crosses zero, by the Illinois form of the false position."""
    # a slope that keeps its sign leads to the end at which the function is greatest
    low, high = slope(left), slope(right)
    middle, rose, fell = (left + right) / 2, low < -math.inf, low < -math.inf
    for step in range(1, _ROOT_STEPS + 1):
        previous = middle
        middle = left + (right - left) * low / (low - high)
        inside = (middle > left) & (middle < right) & (low > 0) & (high < 0)
        middle = torch.where(inside, middle, (left + right) / 2)
        value = slope(middle)
        rising = value > 0
        # An end that stays twice has its value halved, which makes it move next.
        low = torch.where(rising, value, torch.where(fell, low / 2, low))
        high = torch.where(rising, torch.where(rose, high / 2, high), value)
        left, right = torch.where(rising, middle, left), torch.where(rising, right, middle)
        rose, fell = rising, ~rising
        if bool((torch.minimum((middle - previous).abs(), right - left) < 1e-12).all()):
            return middle, step
    return middle, _ROOT_STEPS


def _statuses(
    spectrum: Spectrum, prior: PerTarget, noise: PerTarget, *, free_noise: bool
) -> tuple[TuningEnding, ...]:
    ratio = prior * noise
    effective = spectrum.effective(ratio)
    # With as many effective weights as rows the evidence is flat in the noise down to the floor.
    reproduced = (noise <= spectrum.floor * (1 + 1e-9)) | (
        spectrum.weight - effective < 1e-6 * spectrum.weight
    )
    floored = reproduced & torch.tensor(free_noise)
    nothing = effective < 1e-4
    unshrunk = ratio <= spectrum.values[-1] * _RATIO[0] * 1e3  # so near, rounding decides
    statuses: list[TuningEnding] = []
    for target in range(len(prior)):
        if bool(nothing[target]):
            statuses.append(TuningEnding.PRIOR_CAPPED)
        elif bool(floored[target]):
            statuses.append(TuningEnding.NOISE_FLOORED)
        else:
            statuses.append(
                TuningEnding.PRIOR_FLOORED if bool(unshrunk[target]) else TuningEnding.TUNED
            )
    return tuple(statuses)
