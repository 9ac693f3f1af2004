"""What several rules do alike: shares among goals, averages, steps of Adam, arrays."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs
from counterpoint.balance.program import Array, semidefinite


def zeros(goals: int) -> Tensor:
    """A zero for each goal, float64 (K,)."""
    return torch.zeros(goals, dtype=torch.float64)


def shared(raw: Float[Tensor, " goals"], inputs: RuleInputs) -> Float[Tensor, " goals"]:
    """Weights in proportion to `raw` and of sum K, (K,)."""
    # a goal whose gradient is zero keeps its preference; the others share what remains
    awake = inputs.norms != 0
    raw = torch.where(awake, raw, 0.0)
    total = torch.where(awake, inputs.preference, 0.0).sum()
    # The largest first: a sum of numbers near the largest float would overflow.
    raw = raw / torch.where(awake.any(), raw.amax(), 1.0)
    divisor = torch.where(awake.any(), raw.sum(), 1.0)
    return torch.where(awake, raw / divisor * total, inputs.preference)


def nan_as(
    numbers: Float[Tensor, " goals"], weights: Float[Tensor, " goals"]
) -> Float[Tensor, " goals"]:
    """The weights, and NaN where the number that they are made from is not finite, (K,)."""
    # 0 times a finite number is 0, times any other NaN; nobody has to look at it, and so to wait
    return weights + 0.0 * numbers


def ideal_start(ideal: float | None, goals: int) -> dict[str, Tensor]:
    """The state that `ideal_losses` keeps: the lowest losses, and whether there are any."""
    return {"lowest": zeros(goals), "seen": zeros(goals)} if ideal is None else {}


def ideal_losses(
    ideal: float | None, losses: Float[Tensor, " goals"], state: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """What losses are measured from, () or (K,), and the state after: a number, or the lowest."""
    if ideal is not None:
        return losses.new_full((), ideal), {}
    # a state starts with 0, which is no loss that was seen
    lowest = torch.where(state["seen"] > 0, torch.minimum(state["lowest"], losses), losses)
    return lowest, {"lowest": lowest, "seen": torch.ones_like(lowest)}


def adam_start(goals: int) -> dict[str, Tensor]:
    """The state that `adam` keeps: a value, two moments and a count for each goal."""
    return {name: zeros(goals) for name in ("value", "mean", "square", "count")}


def adam(
    state: Mapping[str, Tensor], slope: Float[Tensor, " goals"], rate: float, decay: float = 0.0
) -> dict[str, Tensor]:
    """One step of Adam down `slope` from ``state["value"]``, betas 0.9 and 0.999."""
    # Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, algorithm 1
    value = state["value"]
    slope = slope + decay * value
    mean = 0.9 * state["mean"] + 0.1 * slope
    square = 0.999 * state["square"] + 0.001 * slope**2
    count = state["count"] + 1
    root = (square / (1 - 0.999**count)).sqrt()
    value = value - rate * (mean / (1 - 0.9**count)) / (root + 1e-8)
    return {"value": value, "mean": mean, "square": square, "count": count}


def arrays(inputs: RuleInputs) -> tuple[Array, Array, Array]:
    """Cosines (made semidefinite), norms relative to the largest, and preference, as arrays."""
    # Only ratios of norms count, and products of two ratios cannot overflow; a rule that needs the
    # size itself puts it back.
    norms: Array = inputs.norms.numpy()
    cosines = semidefinite(inputs.cosines.numpy())
    return cosines, norms / norms.max(), inputs.preference.numpy()


def tensor(weights: Array) -> Float[Tensor, " goals"]:
    """An array as a tensor, float64."""
    return torch.as_tensor(weights, dtype=torch.float64)
