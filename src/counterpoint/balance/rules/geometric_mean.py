"""The geometric mean of the losses."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance.rule import Given, State

__all__ = ["GeometricMean"]


@dataclass(frozen=True)
class GeometricMean:
    """``w_k = p_k F / L_k``: the step is along the gradient of ``F = prod_k L_k^(p_k / K)``.

    Chennupati et al., MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy,
    CVPR workshops 2019 (GLS). No loss counts for its unit. A loss at or below 0 has no geometric
    mean: F is then that of the other goals, and this goal has its plain weight p_k. The
    preference is the exponent.
    """

    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def start(self, goals: int) -> dict[str, Tensor]:
        """Nothing to remember."""
        del goals
        return {}

    def weights(
        self, given: Given, state: State
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """Ratios of the mean to each loss, through logarithms."""
        del state
        plain = given.losses <= 0
        logs = torch.where(plain, 0.0, torch.where(plain, 1.0, given.losses).log())
        share = torch.where(plain, 0.0, given.preference)
        mean = (share * logs).sum() / torch.where(plain.all(), 1.0, share.sum())
        ratio = torch.where(plain, 1.0, (mean - logs).exp())
        return given.preference * ratio + 0.0 * given.losses, {}
