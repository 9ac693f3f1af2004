"""Weighting by a learned noise of each goal."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import at_least
from counterpoint.balance.rules._parts import adam, adam_start, nan_as


@dataclass(frozen=True)
class Uncertainty:
    """``w_k = p_k exp(-s_k)``, with log variances s learned on ``sum_k exp(-s_k) L_k + s_k``.

    Kendall, Gal and Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR 2018,
    with ``s = log sigma^2`` and without its common factor 1/2. The s_k start at 0
    (all weights 1) and are learned by Adam of the rule's own; at rest ``exp(s_k) = L_k``. For a
    loss that stays at or below 0 there is no rest: s_k is then held at -20. The preference
    multiplies the weight and does not enter what is learned.

    Attributes:
        rate: of Adam. The paper learns s with the network's optimiser; 0.001 is Adam's default.
    """

    rate: float = 0.001
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least("rule 'uncertainty': rate", self.rate, 0.0, example=0.001)

    def start(self, goals: int) -> dict[str, Tensor]:
        """S and the moments of Adam."""
        return adam_start(goals)

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """The weights before this step of s, and s after it."""
        inverse = (-state["value"]).exp()
        # d/ds (exp(-s) L + s) = 1 - exp(-s) L
        state = adam(state, 1.0 - inverse * inputs.losses, self.rate)
        state["value"] = state["value"].clamp(-20.0, 20.0)
        return nan_as(inputs.losses, inputs.preference * inverse), state
