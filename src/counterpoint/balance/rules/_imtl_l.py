"""Impartial learning of the losses: every scaled loss becomes 1."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import at_least
from counterpoint.balance.rules._parts import adam, adam_start, nan_as


@dataclass(frozen=True)
class ImtlL:
    """``w_k = p_k exp(s_k)``, with s learned on ``sum_k exp(s_k) L_k - s_k``.

    Liu et al., Towards Impartial Multi-Task Learning, ICLR 2021 (IMTL-L). At rest
    ``exp(s_k) L_k = 1``, so that no goal counts for the unit of its loss; the same rest as
    `Uncertainty`, on the other side of the sign. For a loss that stays at or below 0 there is no
    rest: s_k is then held at 20. The preference multiplies the weight.

    Attributes:
        rate: of Adam, the rule's own. The paper learns s with the network's optimiser.
    """

    rate: float = 0.001
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least("rule 'imtl-l': rate", self.rate, 0.0, example=0.001)

    def start(self, goals: int) -> dict[str, Tensor]:
        """S and the moments of Adam."""
        return adam_start(goals)

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """The weights before this step of s, and s after it."""
        scale = state["value"].exp()
        # d/ds (exp(s) L - s) = exp(s) L - 1
        state = adam(state, scale * inputs.losses - 1.0, self.rate)
        state["value"] = state["value"].clamp(-20.0, 20.0)
        return nan_as(inputs.losses, inputs.preference * scale), state
