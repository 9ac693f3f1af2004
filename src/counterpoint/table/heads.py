"""The Gaussian over each head's weights, as sure of itself as rows outside the training allow.

A trunk that was fitted to a row leaves it a smaller residual than to a new one, so on its own
rows the evidence finds too little noise and too weak a prior, and predictions come out too sure.
Each member therefore predicts the rows it left out, and one number a target is chosen under which
these predictions are likeliest: the noise variance of a number, a factor on the prior precision
of a category. Given it, the posterior follows from all rows, the rest by its evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from counterpoint.nn import TableNet
from counterpoint.posterior import LastLayer, Softmax, Statistics
from counterpoint.table.model import Member, compute_features
from counterpoint.table.prepare import Prepared, Target

__all__ = ["fit_heads", "held_out_noise"]

_LEAST = 0.1
_FACTORS = (1.0, 8.0, 64.0, 512.0)


def fit_heads(networks: Sequence[TableNet], prepared: Prepared) -> tuple[Member, ...]:
    """The members: each network with one posterior a target, from every row of `rows.train`."""
    rows = torch.from_numpy(prepared.rows.train)
    inputs = {name: value[rows] for name, value in prepared.inputs.items()}
    features = [compute_features(network, inputs) for network in networks]
    posteriors = {
        target.name: _fit_target(target, features, prepared) for target in prepared.targets
    }
    return tuple(
        Member(network, {name: found[place] for name, found in posteriors.items()})
        for place, network in enumerate(networks)
    )


def held_out_noise(residual: Tensor, knowledge: Tensor, weight: Tensor) -> float:
    """The noise variance under which held-out residuals are likeliest.

    Maximises ``Σ wᵢ log N(rᵢ; 0, s² + vᵢ)`` over ``s²``.

    Args:
        residual: of rows that the network was not fitted to, (N,).
        knowledge: variance of each prediction's mean, (N,).
        weight: of each row, (N,).
    """
    square = residual.double().square()
    scale = float(np.average(square.numpy(), weights=weight.numpy()))
    if scale == 0.0:
        return 1e-12

    def loss(log_noise: float) -> float:
        variance = knowledge + scale * float(np.exp(log_noise))
        return float((weight * (square / variance + variance.log())).sum())

    found: Any = minimize_scalar(loss, bounds=(-12.0, 3.0), method="bounded")
    return scale * float(np.exp(found.x))


def _fit_target(
    target: Target, features: Sequence[Tensor], prepared: Prepared
) -> list[LastLayer | Softmax]:
    rows = _Rows.of(target, prepared)
    if not target.categorical:
        noise = _noise(rows, features)
        return [rows.number(part, rows.used, noise=noise) for part in features]
    prior = _prior(rows, features)
    return [rows.category(part, rows.used, prior=prior) for part in features]


@dataclass(frozen=True)
class _Rows:
    """A target over the rows to learn from, and which of them each member left out."""

    target: Target
    values: Tensor
    weight: Tensor
    used: Tensor
    held: list[Tensor]

    @classmethod
    def of(cls, target: Target, prepared: Prepared) -> "_Rows":
        rows = torch.from_numpy(prepared.rows.train)
        weight = target.weight[rows]
        held = [torch.isin(rows, torch.from_numpy(part)) for part in prepared.rows.held]
        return cls(target, target.values[rows], weight, weight > 0, held)

    def parts(self, features: Sequence[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of each member that has both: features, the rows it was fitted to, those left out."""
        found = [
            (part, self.used & ~held, self.used & held)
            for part, held in zip(features, self.held, strict=True)
        ]
        return [(part, inside, out) for part, inside, out in found if inside.any() and out.any()]

    def number(self, part: Tensor, chosen: Tensor, noise: float | None = None) -> LastLayer:
        statistics = Statistics.of(part[chosen], self.values[chosen], self.weight[chosen])
        return LastLayer.fit(statistics, noise=noise)

    def category(self, part: Tensor, chosen: Tensor, prior: float | None = None) -> Softmax:
        values, weight = self.values[chosen], self.weight[chosen]
        return Softmax.fit(part[chosen], values, self.target.outputs, weight, prior=prior)


def _noise(rows: _Rows, features: Sequence[Tensor]) -> float | None:
    """Pooled over the members; None (the evidence's own) where no held-out row has a value.

    A member's residuals hold what the members disagree about, and the mixture adds the
    disagreement as knowledge; so its mean is taken off, lest it count twice.
    """
    layers = [(part, rows.number(part, inside), out) for part, inside, out in rows.parts(features)]
    if not layers:
        return None
    residuals: list[Tensor] = []
    knowledge: list[Tensor] = []
    weights: list[Tensor] = []
    between: list[Tensor] = []
    for part, layer, out in layers:
        found = layer.predict(part[out])
        residuals.append((rows.values[out].double() - found.mean)[:, 0])
        knowledge.append(found.knowledge[:, 0])
        weights.append(rows.weight[out])
        means = [other.predict(features_[out]).mean[:, 0] for features_, other, _ in layers]
        between.append(torch.stack(means).var(0, unbiased=False))
    weight = torch.cat(weights)
    noise = held_out_noise(torch.cat(residuals), torch.cat(knowledge), weight)
    disagreement = float(weight @ torch.cat(between) / weight.sum())
    return max(noise - disagreement, _LEAST * noise)


def _prior(rows: _Rows, features: Sequence[Tensor]) -> float | None:
    """The first member's evidence sets the scale, the held-out rows of all choose the factor.

    None (each member's own evidence) where no held-out row has a value.
    """
    parts = rows.parts(features)
    if not parts:
        return None
    part, inside, _ = parts[0]
    first = rows.category(part, inside)
    likelihood = dict.fromkeys(_FACTORS, 0.0)
    for part, inside, out in parts:
        for factor in _FACTORS:
            layer = rows.category(part, inside, prior=first.prior * factor)
            found = layer.predict(part[out]).log_prob(rows.values[out])
            likelihood[factor] += float(rows.weight[out] @ found)
    return first.prior * max(_FACTORS, key=lambda factor: likelihood[factor])
