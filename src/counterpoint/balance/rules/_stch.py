"""The smooth Tchebycheff scalarisation: a soft maximum of the losses."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import at_least, finite
from counterpoint.balance.rules._parts import ideal_losses, ideal_start, nan_as


@dataclass(frozen=True)
class Stch:
    """``F = mu log sum_k exp(p_k (L_k - z_k) / mu)``, so ``w_k = K p_k softmax_k(...)``.

    Lin et al., Smooth Tchebycheff Scalarization for Multi-Objective Optimization, ICML 2024,
    equation 9. Its preference vector has sum 1, ours mean 1, which only measures mu in other units.
    Every point of the front is the minimum for some preference, also where the front is not convex.

    Attributes:
        smoothness: mu; the smaller, the more the largest loss counts alone. The paper tries 0.01,
            0.1, 0.5 and 1, and finds none best for all problems.
        ideal: z, the same for every goal; None takes each goal's lowest loss so far.
    """

    smoothness: float = 1.0
    ideal: float | None = 0.0
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least("rule 'stch': smoothness", self.smoothness, 1e-12, example=1.0)
        if self.ideal is not None:
            finite("rule 'stch': ideal", self.ideal)

    def start(self, goals: int) -> dict[str, Tensor]:
        """The lowest losses, and whether there are any."""
        return ideal_start(self.ideal, goals)

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """Shares of the soft maximum."""
        ideal, after = ideal_losses(self.ideal, inputs.losses, state)
        height = inputs.preference * (inputs.losses - ideal) / self.smoothness
        # dF = sum_k softmax_k p_k dL_k, and the step is a mean over K goals
        weights = len(height) * inputs.preference * torch.softmax(height, 0)
        return nan_as(inputs.losses, weights), after
