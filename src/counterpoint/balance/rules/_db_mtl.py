"""Dual balancing: logarithms of losses, and gradients of one length."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import between
from counterpoint.balance.rules._parts import nan_as, zeros


@dataclass(frozen=True)
class DbMtl:
    """``w_k = K p_k (max_j n_j / n_k) / L_k``, n_k the running norm of the gradient of log L_k.

    Lin et al., Dual-Balancing for Multi-Task Learning, 2023: every log loss pulls
    with the force of the strongest. The paper averages gradients over the past, which takes K
    gradients of memory; here the average is over their norms, and the gradient is today's. A
    loss below 0 counts with ``|L_k|``. The preference multiplies the weight; a goal whose gradient
    is zero has its preference and does not take part.

    Attributes:
        decay: of the average over steps; beta, 0.9 in the authors' LibMTL, where it may also fall
            over the steps.
    """

    decay: float = 0.9
    needs: ClassVar[str] = "norms"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        between("rule 'db-mtl': decay", self.decay, 0.0, 1.0, example=0.9)

    def start(self, goals: int) -> dict[str, Tensor]:
        """Running norms, and how many steps each has seen."""
        return {"norms": zeros(goals), "count": zeros(goals)}

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """Norms of log losses, and how far each is from the largest."""
        awake = inputs.norms != 0
        size = torch.where(inputs.losses == 0, 1e-30, inputs.losses.abs())
        # the gradient of log L is g / L
        now = inputs.norms / size
        norms = torch.where(awake, self.decay * state["norms"] + (1 - self.decay) * now, 0.0)
        count = state["count"] + awake
        # an average that started at 0, freed of its start as in Adam
        mean = norms / torch.where(awake, 1.0 - self.decay**count, 1.0)
        factor = len(mean) * (mean.amax() / torch.where(awake, mean, 1.0)) / size
        weights = inputs.preference * torch.where(awake, factor, 1.0)
        after = {"norms": torch.where(awake, norms, state["norms"]), "count": count}
        return nan_as(inputs.losses, weights), after
