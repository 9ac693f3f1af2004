"""SoftAdapt: more for the goal that rises fastest."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import finite
from counterpoint.balance.rules._parts import nan_as, shared, zeros


@dataclass(frozen=True)
class SoftAdapt:
    """``w_k = K p_k exp(b s_k) / sum_j p_j exp(b s_j)``, with s_k = L_k(t) - L_k(t-1).

    Heydari, Thompson and Mehmood, SoftAdapt: Techniques for Adaptive Loss Weighting of Neural
    Networks with Multi-Part Loss Functions, 2019. s = 0 at a goal's first loss. The preference
    multiplies the exponential.

    Attributes:
        sharpness: b; 0.1 in the authors' code. Below 0 the goal that falls fastest gets more.
        weighted: also multiply by L_k(t) (the paper's "loss weighted" form), where L_k > 0.
        normalized: divide the s_k by ``sum_j |s_j|`` first (the paper's "normalized" form; the
            authors' code divides by their sum, which may be 0), so that the unit of all losses
            does not matter.
    """

    sharpness: float = 0.1
    weighted: bool = False
    normalized: bool = False
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        finite("rule 'softadapt': sharpness", self.sharpness)

    def start(self, goals: int) -> dict[str, Tensor]:
        """The losses before, and whether there are any."""
        return {"losses": zeros(goals), "seen": zeros(goals)}

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """From the last change of each loss."""
        rise = torch.where(state["seen"] > 0, inputs.losses - state["losses"], 0.0)
        if self.normalized:
            total = rise.abs().sum()
            rise = rise / torch.where(total == 0, 1.0, total)
        # a softmax, as the formula's exponentials may overflow where only their ratios count
        raw = inputs.preference * torch.softmax(self.sharpness * rise, 0)
        if self.weighted:
            positive = torch.where(inputs.losses <= 0, 0.0, inputs.losses)
            raw = raw * torch.where((inputs.losses <= 0).all(), 1.0, positive)
        after = {"losses": inputs.losses, "seen": torch.ones_like(inputs.losses)}
        return nan_as(inputs.losses, shared(raw, inputs)), after
