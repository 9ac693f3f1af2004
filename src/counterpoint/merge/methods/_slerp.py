"""Along the great circle between two models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._method import MergedTensor, MergeMethod, compute_type

_PARALLEL = 1e-6
"""Sine of the angle below which the circle is the straight line, to the precision of float32."""


@dataclass(frozen=True)
class Slerp(MergeMethod):
    r"""Spherical interpolation, each tensor as one vector.

    With the angle :math:`\Omega` between the two,
    :math:`(\sin((1-\lambda)\Omega) A + \sin(\lambda\Omega) B) / \sin\Omega`; a straight
    line where they are parallel, opposite or zero.

    Shoemake 1985, "Animating rotation with quaternion curves", section 3.3.
    """

    facts: ClassVar[Facts] = METHODS["slerp"]

    def merge(
        self,
        tensors: Sequence[Tensor],
        coefficients: Sequence[Coefficient],
        about: MergedTensor,  # noqa: ARG002
    ) -> Tensor:
        """The point of the circle."""
        wide = compute_type(tensors)
        one, two = (tensor.to(wide) for tensor in tensors)
        share = coefficients[1]
        # the angle in float64: near 0 a cosine has lost half its digits
        angle, sine = _angle(one.double(), two.double())
        if float(sine.detach()) < _PARALLEL:
            return one + (two - one) * share
        first = torch.sin((1 - share) * angle) / sine
        return one * first.to(wide) + two * (torch.sin(share * angle) / sine).to(wide)


def _angle(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    a, b = one.norm(), two.norm()
    if not float((a * b).detach()):
        return a * 0, b * 0
    # by half the chord and half the sum, which lose nothing near either end (Kahan 2006)
    one, two = one / a, two / b
    angle = 2 * torch.atan2((one - two).norm(), (one + two).norm())
    return angle, angle.sin()
