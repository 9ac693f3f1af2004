"""The smooth Tchebycheff scalarisation: a soft maximum of the losses."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance.rule import Given, State
from counterpoint.balance.rules.checks import at_least, finite
from counterpoint.balance.rules.parts import zeros

__all__ = ["Stch"]


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
        return {"lowest": zeros(goals), "seen": zeros(goals)} if self.ideal is None else {}

    def weights(
        self, given: Given, state: State
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """Shares of the soft maximum."""
        after: dict[str, Tensor] = {}
        ideal = given.losses.new_full((), self.ideal or 0.0)
        if self.ideal is None:
            lowest = torch.minimum(state["lowest"], given.losses)
            ideal = torch.where(state["seen"] > 0, lowest, given.losses)
            after = {"lowest": ideal, "seen": torch.ones_like(ideal)}
        height = given.preference * (given.losses - ideal) / self.smoothness
        weights = len(height) * given.preference * torch.softmax(height, 0)
        return weights + 0.0 * given.losses, after
