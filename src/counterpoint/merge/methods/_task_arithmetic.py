"""Sums of what models have learnt since a common start."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._method import MergedTensor, MergeMethod, task_vectors


@dataclass(frozen=True)
class TaskArithmetic(MergeMethod):
    r"""Task arithmetic, :math:`\theta_0 + \sum_k s_k (\theta_k - \theta_0)`.

    Ilharco et al. 2023, "Editing models with task arithmetic", equation 1.
    """

    facts: ClassVar[Facts] = METHODS["task-arithmetic"]

    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """``θ_0 + Σ s_k (θ_k - θ_0)``."""
        base, vectors = task_vectors(tensors, about)
        # added one by one: the sum of vectors need not be held beside them
        for vector, scale in zip(vectors, coefficients, strict=True):
            base = base + vector * scale
        return base
