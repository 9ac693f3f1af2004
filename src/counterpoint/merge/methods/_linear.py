"""The weighted mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._method import MergedTensor, MergeMethod, compute_type


@dataclass(frozen=True)
class WeightedMean(MergeMethod):
    r"""Weighted mean, :math:`\sum_k \lambda_k \theta_k` with :math:`\sum_k \lambda_k = 1`.

    Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves
    accuracy without increasing inference time".
    """

    facts: ClassVar[Facts] = METHODS["linear"]

    def merge(
        self,
        tensors: Sequence[Tensor],
        coefficients: Sequence[Coefficient],
        about: MergedTensor,  # noqa: ARG002
    ) -> Tensor:
        """``Σ λ_k θ_k``."""
        first = tensors[0]
        if len(tensors) == 2 and first.dtype == tensors[1].dtype:
            # one kernel, exact where the two are equal; in half precision it rounds once
            return torch.lerp(first, tensors[1], _weight(coefficients[1], first))
        wide = compute_type(tensors)
        # around the first, so that equal inputs give themselves to the bit
        start = first.to(wide)
        total = start
        for tensor, share in zip(tensors[1:], coefficients[1:], strict=True):
            total = total + (tensor.to(wide) - start) * share
        return total


def _weight(share: Coefficient, like: Tensor) -> Coefficient:
    return share.to(like) if isinstance(share, Tensor) else float(share)
