"""GradNorm: learned weights under which gradients have the lengths that progress asks for."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import at_least, finite
from counterpoint.balance.rules._parts import adam, adam_start, nan_as, shared, zeros


@dataclass(frozen=True)
class GradNorm:
    """w descends ``sum_k | w_k |g_k| - p_k mean_j(w_j |g_j|) r_k^a |``, and has the sum K.

    r_k is the loss relative to the goal's first, divided by the mean of all goals': who is
    behind gets a longer gradient. Chen et al., GradNorm: Gradient Normalization for Adaptive Loss
    Balancing in Deep Multitask Networks, ICML 2018, algorithm 1; the target is held
    constant, as there. Here log w is learned, by Adam of the rule's own, so that weights remain
    positive. Where a loss or a first loss is not positive, its ratio counts as 1. A goal whose
    gradient is zero has its preference.

    Attributes:
        asymmetry: a; 1.5 for the paper's NYUv2.
        rate: of Adam; 0.025 in the paper.
    """

    asymmetry: float = 1.5
    rate: float = 0.025
    needs: ClassVar[str] = "norms"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        finite("rule 'gradnorm': asymmetry", self.asymmetry)
        at_least("rule 'gradnorm': rate", self.rate, 0.0, example=0.025)

    def start(self, goals: int) -> dict[str, Tensor]:
        """Log w with the moments of Adam, and the first losses."""
        return {**adam_start(goals), "first": zeros(goals), "seen": zeros(goals)}

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """The weights before this step of w, and w after it."""
        awake = inputs.norms != 0
        first = torch.where(state["seen"] > 0, state["first"], inputs.losses)
        weights = shared(inputs.preference * torch.softmax(state["value"], 0), inputs)
        pull = weights * inputs.norms
        counted = awake.sum().clamp_min(1)
        odd = (first <= 0) | (inputs.losses <= 0)
        ratio = torch.where(odd, 1.0, inputs.losses / torch.where(odd, 1.0, first))
        ratio = ratio / (torch.where(awake, ratio, 0.0).sum() / counted)
        target = inputs.preference * (pull.sum() / counted) * ratio**self.asymmetry
        # d |pull - target| / d log w; its unit drops out in Adam, but must not be lost in squares.
        gap = (pull - target) / pull.amax().clamp_min(1e-300)
        # Rounding has a sign, too, and Adam would take it for as much as any other.
        gap = torch.where(gap.abs() < 1e-12, 0.0, gap)
        slope = pull / pull.amax().clamp_min(1e-300) * gap.sign()
        moved = adam(state, slope, self.rate)
        after = {name: torch.where(awake, moved[name], state[name]) for name in moved}
        after |= {"first": first, "seen": torch.ones_like(first)}
        return nan_as(inputs.losses + inputs.norms, weights), after
