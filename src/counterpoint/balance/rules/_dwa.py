"""Dynamic weight average: more for the goal that falls slowest."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import at_least
from counterpoint.balance.rules._parts import nan_as, shared, zeros


@dataclass(frozen=True)
class Dwa:
    """``w_k = K p_k exp(r_k / T) / sum_j p_j exp(r_j / T)``, r_k = L_k(t-1) / L_k(t-2).

    Liu, Johns and Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019.
    L(t) is the mean loss over a window of steps (in the paper an epoch); r = 1 until a goal has
    been through two, and where the mean of the older one is 0.

    Attributes:
        temperature: T; 2 in the paper. The larger, the more equal the weights.
        window: how many steps one mean is taken over; set it to the length of your epoch.
    """

    temperature: float = 2.0
    window: int = 100
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least("rule 'dwa': temperature", self.temperature, 1e-3, example=2.0)
        at_least("rule 'dwa': window", self.window, 1, example=100)

    def start(self, goals: int) -> dict[str, Tensor]:
        """The sum and count of the window at hand, the last mean, and the ratio in use."""
        return {
            **{name: zeros(goals) for name in ("sum", "count", "windows", "mean")},
            "ratio": zeros(goals) + 1.0,
        }

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """Weights from the windows that are complete before this step."""
        raw = inputs.preference * torch.softmax(state["ratio"] / self.temperature, 0)
        total, count = state["sum"] + inputs.losses, state["count"] + 1
        # as numbers, not as an `if`: the count is on the device
        full = count >= self.window
        mean = total / count
        known = (state["windows"] > 0) & (state["mean"] != 0)
        ratio = torch.where(known, mean / torch.where(known, state["mean"], 1.0), 1.0)
        after = {
            "sum": torch.where(full, 0.0, total),
            "count": torch.where(full, 0.0, count),
            "windows": state["windows"] + full,
            "mean": torch.where(full, mean, state["mean"]),
            "ratio": torch.where(full, ratio, state["ratio"]),
        }
        return nan_as(inputs.losses, shared(raw, inputs)), after
