"""One goal a step."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.errors import one_of

_PICKS = {"uniform": "losses", "magnitude": "norms"}


@dataclass(frozen=True)
class Alternate(StatelessRule):
    """``w = K e_j``, with goal j drawn with probability ``~ p_j`` or ``~ p_j |g_j|``.

    Drawn uniformly, the step is right on average: its expectation is the weighted mean. Its noise
    vanishes only where all gradients do, at a minimum that the goals share; that is what lets it
    leave the compromises in which a weighted sum comes to rest. Stochastic gradient descent over
    goals instead of examples (Robbins and Monro, A Stochastic Approximation Method, Annals of
    Mathematical Statistics 22, 1951). Draws come from the balancer's generator.

    Attributes:
        pick: "uniform" (by preference alone, needs only losses) or "magnitude" (times the norm).
    """

    pick: str = "uniform"
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "pick", one_of("rule 'alternate': pick", self.pick, _PICKS))
        # What it reads depends on how it picks; norms cost a backward pass.
        object.__setattr__(self, "needs", _PICKS[self.pick])

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """All for the goal that was drawn."""
        chances = inputs.preference
        if self.pick == "magnitude":
            chances = chances * (inputs.norms / inputs.norms.max())
        # where the draw falls among the summed chances; the last sum may round to less than 1
        ends = (chances / chances.sum()).cumsum(0)
        draw = torch.rand((), generator=inputs.generator, dtype=torch.float64)
        drawn = int(torch.searchsorted(ends, draw, right=True).clamp_max(len(ends) - 1))
        weights = torch.zeros_like(ends)
        weights[drawn] = float(len(ends))
        return weights
