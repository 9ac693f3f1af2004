"""The point with the least sum of distances."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._method import MergedTensor, MergeMethod, compute_type


@dataclass(frozen=True)
class GeometricMedian(MergeMethod):
    r"""Geometric median, :math:`\arg\min_\theta \sum_k \lambda_k |\theta - \theta_k|`, by tensor.

    One model that is far off moves it no further than one that is near. Weiszfeld's iteration, with
    the step of Vardi and Zhang 2000, "The multivariate L1-median and associated data depth",
    equation 2.6, where it meets one of the models.

    Attributes:
        steps: at most so many.
        tolerance: of the last step, over the size of the weights.
    """

    steps: int = 200
    tolerance: float = 1e-10
    facts: ClassVar[Facts] = METHODS["geometric-median"]

    def merge(
        self,
        tensors: Sequence[Tensor],
        coefficients: Sequence[Coefficient],
        about: MergedTensor,  # noqa: ARG002
    ) -> Tensor:
        """The median."""
        points = torch.stack([tensor.double().reshape(-1) for tensor in tensors])
        shares = torch.stack(
            [
                torch.as_tensor(each, dtype=torch.float64, device=points.device)
                for each in coefficients
            ]
        )
        median = shares @ points
        scale = float(points.abs().max()) if points.numel() else 0.0
        for _ in range(self.steps):
            moved = _step(median, points, shares, scale)
            ended = float((moved - median).norm()) <= self.tolerance * scale
            median = moved
            if ended:
                break
        return median.reshape(tensors[0].shape).to(compute_type(tensors))


def _step(median: Tensor, points: Tensor, shares: Tensor, scale: float) -> Tensor:
    apart = (points - median).norm(dim=1)
    at = apart <= 1e-14 * scale
    pull = torch.where(at, torch.zeros_like(apart), shares / apart.clamp_min(1e-300))
    if not bool(pull.any()):
        return median
    target = (pull @ points) / pull.sum()
    # at one of the models: it holds with its own share against the pull of the others
    force = float((pull[:, None] * (points - median)).sum(0).norm())
    hold = float(shares[at].sum()) / force if force else 1.0
    return median + (target - median) * max(0.0, 1.0 - hold)
