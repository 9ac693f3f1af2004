"""What several rules do alike: shares among goals, averages, steps of Adam, arrays."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance.program import Array, semidefinite
from counterpoint.balance.rule import Given

__all__ = ["adam", "adam_start", "arrays", "shared", "tensor", "zeros"]


def zeros(goals: int) -> Tensor:
    """A zero for each goal, float64 (K,)."""
    return torch.zeros(goals, dtype=torch.float64)


def shared(raw: Float[Tensor, " goals"], given: Given) -> Float[Tensor, " goals"]:
    """Weights in proportion to `raw` and of sum K, (K,).

    A goal whose gradient is zero keeps its preference; the others share what remains.
    """
    awake = given.norms != 0
    raw = torch.where(awake, raw, 0.0)
    total = torch.where(awake, given.preference, 0.0).sum()
    # The largest first: a sum of numbers near the largest float would overflow.
    raw = raw / torch.where(awake.any(), raw.amax(), 1.0)
    divisor = torch.where(awake.any(), raw.sum(), 1.0)
    return torch.where(awake, raw / divisor * total, given.preference)


def adam_start(goals: int) -> dict[str, Tensor]:
    """The state that `adam` keeps: a value, two moments and a count for each goal."""
    return {name: zeros(goals) for name in ("value", "mean", "square", "count")}


def adam(
    state: Mapping[str, Tensor], slope: Float[Tensor, " goals"], rate: float, decay: float = 0.0
) -> dict[str, Tensor]:
    """One step of Adam (Kingma and Ba 2015, algorithm 1) down `slope` from ``state["value"]``.

    Betas of 0.9 and 0.999; `decay` is added to the slope as ``decay * value``.
    """
    value = state["value"]
    slope = slope + decay * value
    mean = 0.9 * state["mean"] + 0.1 * slope
    square = 0.999 * state["square"] + 0.001 * slope**2
    count = state["count"] + 1
    root = (square / (1 - 0.999**count)).sqrt()
    value = value - rate * (mean / (1 - 0.9**count)) / (root + 1e-8)
    return {"value": value, "mean": mean, "square": square, "count": count}


def arrays(given: Given) -> tuple[Array, Array, Array]:
    """Cosines (made semidefinite), norms relative to the largest, and preference, as arrays."""
    norms: Array = given.norms.numpy()
    cosines = semidefinite(given.cosines.numpy())
    return cosines, norms / norms.max(), given.preference.numpy()


def tensor(weights: Array) -> Float[Tensor, " goals"]:
    """An array as a tensor, float64."""
    return torch.as_tensor(weights, dtype=torch.float64)
