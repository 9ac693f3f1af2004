"""Select what differs, weigh models by how much they moved, erase what opposes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._method import (
    MergedTensor,
    MergeMethod,
    sign_agreed,
    task_vectors,
)
from counterpoint.merge.methods._ties import check_density
from counterpoint.merge.methods._trimmed import reaching, threshold


@dataclass(frozen=True)
class Sce(MergeMethod):
    r"""SCE: :math:`\theta_0 + \sum_{k \in A} c_k \tau_k / \sum_{k \in A} c_k`, entry by entry.

    Only entries with the greatest variance over the models are taken;
    :math:`c_k = \sum \tau_k^2 / \sum_j \sum \tau_j^2` over these, for each tensor; A are the
    models whose entry has the sign of :math:`\sum_k c_k \tau_k`. The plan's scales multiply τ.

    Wan et al. 2024, "FuseChat: knowledge fusion of chat models", section 3.2.

    Attributes:
        density: the share of entries that is selected; entries equal to the last are, too.

    Raises:
        InputError: the density is not between 0 and 1.
    """

    density: float = 1.0
    facts: ClassVar[Facts] = METHODS["sce"]

    def __post_init__(self) -> None:
        check_density("sce", self.density)

    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """The start and the weighted mean of what agrees."""
        base, vectors = task_vectors(tensors, about)
        scaled = [vector * scale for vector, scale in zip(vectors, coefficients, strict=True)]
        stacked = torch.stack(scaled)
        if self.density < 1:
            spread = stacked.var(0, correction=0)
            stacked = stacked * reaching(spread, threshold(spread, self.density))
        energy = stacked.square().reshape(len(stacked), -1).sum(1)
        shares = energy / energy.sum() if bool(energy.sum() > 0) else torch.ones_like(energy)
        # what opposes is out of the numerator and of the weights alike: a mean of what is left
        agreed, _ = sign_agreed(list(stacked), list(shares))
        weights = torch.stack(
            [(part != 0) * share for part, share in zip(agreed, shares, strict=True)]
        )
        total = weights.sum(0)
        mean = torch.stack(agreed).sum(0) / torch.where(total > 0, total, torch.ones_like(total))
        return base + mean
