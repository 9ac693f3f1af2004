"""Between the mean and the start, by how far the models agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._method import MergedTensor, MergeMethod, task_vectors


@dataclass(frozen=True)
class ModelStock(MergeMethod):
    r"""Model Stock, :math:`t \bar\theta + (1 - t) \theta_0`, each tensor as one vector.

    With the mean cosine c between what two models have learnt since the start,
    :math:`t = K c / (1 + (K - 1) c)`: all of the mean where they agree, none where they have
    nothing in common (or less: a cosine below 0 counts as 0).

    Jang et al. 2024, "Model Stock: all we need is just a few fine-tuned models", equation 5.
    """

    facts: ClassVar[Facts] = METHODS["model-stock"]

    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """``t Σ λ_k θ_k + (1 - t) θ_0``."""
        base, vectors = task_vectors(tensors, about)
        cosines = [_cosine(a.double(), b.double()) for a, b in combinations(vectors, 2)]
        cosine = torch.stack(cosines).mean().clamp(0.0, 1.0)
        # equation 5 is for three or more; two models and a start are the same triangle
        count = len(vectors)
        ratio = (count * cosine / (1 + (count - 1) * cosine)).to(base.dtype)
        for vector, share in zip(vectors, coefficients, strict=True):
            base = base + vector * (ratio * share)
        return base


def _cosine(one: Tensor, two: Tensor) -> Tensor:
    size = one.norm() * two.norm()
    if not float(size.detach()):
        # neither has moved: then it does not matter, and the mean is the start
        return torch.ones_like(size)
    return (one * two).sum() / size
