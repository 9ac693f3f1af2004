"""A target over the rows to learn from, and the noise that the rows left out reveal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from counterpoint.table.fit._prepare import Prepared, Target

_LEAST = 0.1


@dataclass(frozen=True)
class TargetRows:
    """A target over `rows.train`, and which of these rows each member left out.

    Attributes:
        target: which.
        values: (N, 1) standardised, or (N,) places of classes.
        weight: (N,); 0 where a row has no value.
        used: (N,), whether the weight is positive.
        held: for each member (N,), the rows it left out.
    """

    target: Target
    values: Tensor
    weight: Tensor
    used: Tensor
    held: list[Tensor]

    @classmethod
    def of(cls, target: Target, prepared: Prepared) -> "TargetRows":
        """The rows of one target."""
        rows = torch.from_numpy(prepared.rows.train)
        weight = target.weight[rows]
        held = [torch.isin(rows, torch.from_numpy(part)) for part in prepared.rows.held]
        return cls(target, target.values[rows], weight, weight > 0, held)

    @property
    def parts(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Of each member that has both: the rows it was fitted to, and those it left out."""
        found = {place: (self.used & ~out, self.used & out) for place, out in enumerate(self.held)}
        return {place: pair for place, pair in found.items() if pair[0].any() and pair[1].any()}


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


def pooled_noise(
    rows: TargetRows, means: Mapping[int, Tensor], knowledge: Mapping[int, Tensor]
) -> float | None:
    """The noise variance of a number, pooled over the members.

    A member's residuals hold what the members disagree about, and the mixture adds the
    disagreement as knowledge; so its mean is taken off, lest it count twice.

    Args:
        rows: of the target.
        means: of each member in `rows.parts`, what it expects of every row, (N, 1), standardised.
        knowledge: likewise, the variance of that in the rows it left out, (held, 1).

    Returns:
        None where no held-out row has a value.
    """
    parts = rows.parts
    if not parts:
        return None
    every = torch.stack([means[place][:, 0] for place in parts])
    residual, between = rows.values[:, 0] - every, every.var(0, unbiased=False)
    held = [(place, out) for place, (_, out) in enumerate(parts.values())]
    weight = torch.cat([rows.weight[out] for _, out in held])
    noise = held_out_noise(
        torch.cat([residual[place][out] for place, out in held]),
        torch.cat([knowledge[place][:, 0] for place in parts]),
        weight,
    )
    disagreement = float(weight @ torch.cat([between[out] for _, out in held]) / weight.sum())
    return max(noise - disagreement, _LEAST * noise)


def fresh_noise(
    values: Tensor, means: Sequence[Tensor], knowledge: Sequence[Tensor], weight: Tensor
) -> float:
    """The noise variance that new rows reveal, each predicted by members that had not learnt it.

    As in `pooled_noise`, what the members disagree about is taken off.

    Args:
        values: (N, 1), standardised.
        means: of each member, (N, 1).
        knowledge: of each member, the variance of that, (N, 1).
        weight: of each row, not all zero.
    """
    every = torch.cat(list(means), 1).T
    residual, between = values[:, 0] - every, every.var(0, unbiased=False)
    unsure = torch.cat(list(knowledge), 1).T
    noise = held_out_noise(residual.flatten(), unsure.flatten(), weight.repeat(len(every)))
    return max(noise - float(weight @ between / weight.sum()), _LEAST * noise)


def residual_noise(rows: TargetRows, means: Mapping[int, Tensor]) -> float:
    """`pooled_noise` of members that are sure; by all rows where no held-out row has a value.

    Args:
        rows: of the target.
        means: of every member, what it expects of every row, (N, 1), standardised.
    """
    sure = {place: torch.zeros(int(out.sum()), 1) for place, (_, out) in rows.parts.items()}
    found = pooled_noise(rows, means, sure)
    if found is not None:
        return found
    square = (rows.values - torch.stack(list(means.values())).mean(0))[:, 0].square()
    return max(float(rows.weight @ square / rows.weight.sum()), 1e-12)
