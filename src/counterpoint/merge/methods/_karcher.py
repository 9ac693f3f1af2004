"""The mean on the sphere of any number of models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._method import MergedTensor, MergeMethod, compute_type

_TINY = 1e-12


@dataclass(frozen=True)
class Karcher(MergeMethod):
    r"""Karcher mean of directions, times the weighted mean of lengths; each tensor as one vector.

    The direction is the fixed point of
    :math:`u \leftarrow \exp_u(\sum_k \lambda_k \log_u(\theta_k / |\theta_k|))`. Of two models it is
    the great circle's point, of which `Slerp` differs where lengths do.

    Karcher 1977, "Riemannian center of mass and mollifier smoothing", definition 1.3.

    Attributes:
        steps: at most so many.
        tolerance: of the last step, in radians.
    """

    steps: int = 100
    tolerance: float = 1e-9
    facts: ClassVar[Facts] = METHODS["karcher"]

    def merge(
        self,
        tensors: Sequence[Tensor],
        coefficients: Sequence[Coefficient],
        about: MergedTensor,  # noqa: ARG002
    ) -> Tensor:
        """The mean direction at the mean length."""
        wide = compute_type(tensors)
        vectors = [tensor.double() for tensor in tensors]
        lengths = [vector.norm() for vector in vectors]
        mean = _sum(vectors, coefficients)
        if any(not float(length) for length in lengths) or not float(mean.norm()):
            return mean.to(wide)  # a zero has no direction
        units = [vector / length for vector, length in zip(vectors, lengths, strict=True)]
        point = mean / mean.norm()
        for _ in range(self.steps):
            step = _sum([_log(point, unit) for unit in units], coefficients)
            size = step.norm()
            if float(size) < self.tolerance:
                break
            point = point * size.cos() + step * (size.sin() / size)
            # rounding leaves the sphere step by step
            point = point / point.norm()
        return (point * _sum(lengths, coefficients)).to(wide)


def _sum(vectors: Sequence[Tensor], shares: Sequence[Coefficient]) -> Tensor:
    pairs = zip(vectors, shares, strict=True)
    return torch.stack([vector * share for vector, share in pairs]).sum(0)


def _log(point: Tensor, unit: Tensor) -> Tensor:
    """The tangent at a point that leads to another, as long as the way."""
    angle = 2 * torch.atan2((unit - point).norm(), (unit + point).norm())
    # of length sin(angle), and zero only where the angle is: the quotient tends to 1
    across = unit - point * (unit * point).sum()
    return across * (angle / across.norm().clamp_min(_TINY))
