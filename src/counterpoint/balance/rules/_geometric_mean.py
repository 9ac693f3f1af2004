"""The geometric mean of the losses."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.rules._parts import nan_as


@dataclass(frozen=True)
class GeometricMean(StatelessRule):
    """``w_k = p_k F / L_k``: the step is along the gradient of ``F = prod_k L_k^(p_k / K)``.

    Chennupati et al., MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy,
    CVPR workshops 2019 (GLS). No loss counts for its unit. A loss at or below 0 has no geometric
    mean: F is then that of the other goals, and this goal has its plain weight p_k. The
    preference is the exponent.
    """

    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """Ratios of the mean to each loss, through logarithms."""
        plain = inputs.losses <= 0
        # a product of K losses would overflow; F / L_k is the exponential of a difference
        logs = torch.where(plain, 0.0, torch.where(plain, 1.0, inputs.losses).log())
        share = torch.where(plain, 0.0, inputs.preference)
        mean = (share * logs).sum() / torch.where(plain.all(), 1.0, share.sum())
        ratio = torch.where(plain, 1.0, (mean - logs).exp())
        return nan_as(inputs.losses, inputs.preference * ratio)
