"""The evidence of a Laplace approximation: what it needs of the data, and where it is greatest."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from counterpoint.curvature import sum_over_ranks
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.gaussian import Precision
from counterpoint.goals import Likelihood
from counterpoint.posterior._status import TuningEnding
from counterpoint.posterior.laplace._prior import Each, groups

_BOUND = math.log(1e10)
"""Of the logarithms of precisions, and of the noise scale, either way."""

_ROUNDS = 200

_FREE = 512
"""Most precisions that are searched for together."""

_Evidence: TypeAlias = Callable[[dict[str, Tensor], Tensor | None], Tensor]
"""Prior precisions by name, and the noise scale or none -> log evidence, differentiable."""


@dataclass
class DataFit:
    """How well a network fits its data, summed over rows.

    Attributes:
        nll: negative log likelihood, in nats.
        residual: ``Σ w (y − f)²/σ²`` over all outputs with Gaussian noise.
        numbers: ``Σ w`` over these outputs.
        weight: ``Σ w`` over rows.
    """

    nll: float = 0.0
    residual: float = 0.0
    numbers: float = 0.0
    weight: float = 0.0

    def add(
        self,
        likelihoods: Mapping[str, Likelihood],
        outputs: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        batch: Batch,
    ) -> None:
        """Add a batch."""
        weight = torch.ones(batch.rows, dtype=torch.float64)
        if batch.weight is not None:
            weight = batch.weight.double().cpu()
        self.weight += float(weight.sum())
        for name, output in outputs.items():
            likelihood, target = likelihoods[name], targets[name]
            each = likelihood.nll_each(output, target).detach().double().cpu()
            self.nll += float(weight @ each)
            if (noise := likelihood.noise) is not None:
                error = (target.reshape(output.shape).double() - output.double()).square()
                scaled = (error / noise.detach().double()).reshape(batch.rows, -1).cpu()
                self.residual += float(weight @ scaled.sum(1))
                self.numbers += float(weight.sum()) * scaled.shape[1]

    def all_reduced(self) -> "DataFit":
        """The same over the rows of all ranks."""
        return DataFit(*sum_over_ranks([self.nll, self.residual, self.numbers, self.weight]))

    def log_likelihood(self, scale: float | Tensor = 1.0) -> Float64[Tensor, ""]:
        """``log p(y | θ*)`` with Gaussian noise variances multiplied by a scale."""
        scale = torch.as_tensor(scale, dtype=torch.float64)
        # -½ Σ e²/σ² (1/s) - ½ n log s, less what is at s = 1
        change = self.residual * (1 - 1 / scale) - self.numbers * scale.log()
        return change / 2 - self.nll


def best(
    log_evidence: _Evidence,
    mean: Mapping[str, Tensor],
    curvature: Precision,
    fit: DataFit,
    *,
    each: Each,
    noise: bool,
) -> tuple[dict[str, Tensor], float, TuningEnding]:
    """Prior, noise scale, and how the search for the greatest evidence ended."""
    shapes = curvature.shapes
    diagonal = _as_diagonal(curvature)
    if each == "weight":
        if diagonal is not None:
            return _closed(mean, diagonal, fit, noise=noise)
        parts = {name: [name] for name in shapes}
        sizes = {name: shape.numel() for name, shape in shapes.items()}
        if sum(sizes.values()) > _FREE:
            raise InputError(
                f"each='weight': {sum(sizes.values()):,} precisions have a closed form only where "
                "the curvature is diagonal (structure='diagonal'); others are searched up to "
                f"{_FREE}"
            )
        return _climb(log_evidence, mean, list(parts.values()), list(sizes.values()), noise=noise)
    chosen = groups(each, shapes)
    return _climb(log_evidence, mean, chosen, [1] * len(chosen), noise=noise)


def _climb(
    log_evidence: _Evidence,
    mean: Mapping[str, Tensor],
    chosen: list[list[str]],
    sizes: list[int],
    *,
    noise: bool,
) -> tuple[dict[str, Tensor], float, TuningEnding]:
    """L-BFGS on the logarithms of the precisions of groups of names, and of the noise scale."""

    def unpacked(values: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        parts = values[: sum(sizes)].exp().split(sizes)
        prior = dict[str, Tensor]()
        for names, part in zip(chosen, parts, strict=True):
            one = part if len(part) > 1 else part.reshape(())
            for name in names:
                prior[name] = one.view(mean[name].shape) if one.ndim else one
        return prior, values[-1].exp() if noise else None

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        values = torch.from_numpy(point.copy()).requires_grad_()
        with torch.enable_grad():
            evidence = log_evidence(*unpacked(values))
        (gradient,) = torch.autograd.grad(evidence, values)
        return -float(evidence.detach()), -gradient.numpy()

    start = [
        _start(mean, names) for names, size in zip(chosen, sizes, strict=True) for _ in range(size)
    ]
    point = np.array([*start, 0.0] if noise else start)
    from scipy.optimize import minimize  # slow to import, and predictions do without

    found = minimize(
        loss, point, jac=True, method="L-BFGS-B", bounds=[(-_BOUND, _BOUND)] * len(point)
    )
    prior, scale = unpacked(torch.from_numpy(found.x))
    status = _status(prior.values()) if found.success else TuningEnding.UNFINISHED
    if noise and found.x[-1] <= 1e-3 - _BOUND:
        status = TuningEnding.NOISE_FLOORED
    return prior, 1.0 if scale is None else float(scale), status


def _closed(
    mean: Mapping[str, Tensor], curvature: Mapping[str, Tensor], fit: DataFit, *, noise: bool
) -> tuple[dict[str, Tensor], float, TuningEnding]:
    """One precision a weight: ``1/α − 1/(h + α) = θ²`` is a quadratic, the noise MacKay's."""
    squared = {name: value.double().square() for name, value in mean.items()}
    scale = 1.0
    prior = dict[str, Tensor]()
    for _ in range(_ROUNDS):
        prior = {name: _root(curvature[name] / scale, squared[name]) for name in curvature}
        if not noise:
            return prior, scale, _status(prior.values())
        pairs = [(curvature[name] / scale, prior[name]) for name in curvature]
        determined = sum(float((h / (h + alpha)).sum()) for h, alpha in pairs)
        free = fit.numbers - determined
        floor = math.exp(-_BOUND)
        # residuals are in units of the noise at scale 1
        renewed = max(fit.residual / free, floor) if free > 0 else floor
        if renewed == floor:
            return prior, floor, TuningEnding.NOISE_FLOORED
        if abs(math.log(renewed / scale)) < 1e-10:
            return prior, renewed, _status(prior.values())
        scale = renewed
    return prior, scale, TuningEnding.UNFINISHED


def _root(curvature: Tensor, squared: Tensor) -> Tensor:
    """The positive root of ``α² + hα − h/θ² = 0``, without cancellation."""
    ratio = curvature / squared.clamp_min(math.exp(-2 * _BOUND))
    root = 2 * ratio / (curvature + (curvature.square() + 4 * ratio).sqrt()).clamp_min(1e-300)
    return root.clamp(math.exp(-_BOUND), math.exp(_BOUND))


def _start(mean: Mapping[str, Tensor], names: list[str]) -> float:
    squares = torch.cat([mean[name].double().square().flatten() for name in names])
    return float(-squares.mean().clamp(1e-8, 1e8).log())


def _status(precisions: Iterable[Tensor]) -> TuningEnding:
    """Whether precisions, for most weights of a tensor, ended at a bound."""
    logarithms = torch.stack([value.detach().double().log().median() for value in precisions])
    if float(logarithms.max()) >= _BOUND - 1e-3:
        return TuningEnding.PRIOR_CAPPED
    return (
        TuningEnding.PRIOR_FLOORED
        if float(logarithms.min()) <= 1e-3 - _BOUND
        else TuningEnding.TUNED
    )


def _as_diagonal(precision: Precision) -> dict[str, Tensor] | None:
    values = precision.independent
    return None if values is None else {name: value.double() for name, value in values.items()}
