"""Exact slopes carried forward beside the values."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from counterpoint.derivatives.differences import unit_directions
from counterpoint.derivatives.function import Function, together
from counterpoint.derivatives.pushed import dual, push
from counterpoint.derivatives.scheme import Slopes
from counterpoint.errors import InputError

__all__ = ["ForwardMode"]


@dataclass(frozen=True)
class ForwardMode:
    """``d f(x + t v) / dt`` exact, for all directions in one evaluation.

    Through linear layers and activations slopes are pushed layer by layer beside values that are
    computed once; any other operation makes it evaluate dual numbers, with a copy of the points for
    each direction. Its cost grows with the number of directions and not with that of outputs. Of a
    function with kinks (ReLU) it gives the slope beside the kink, and a derivative by the weights
    that does not know that kinks move.
    """

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one evaluation.

        Raises:
            InputError: an operation of the function has no forward mode.
        """
        found = push(function, x, directions)
        if found is None:
            return _through_duals(function, x, directions)
        return found.values, found.slopes()


def _through_duals(
    function: Function,
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
) -> Slopes:
    ways = unit_directions(x) if directions is None else directions
    # the fused attention kernels have no forward mode
    with forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
        try:
            found = together(function, dual(x.expand(ways.shape), ways))
        except NotImplementedError as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"scheme 'forward-mode': {reason}; choose 'reverse-mode'") from error
        values, slopes = forward_ad.unpack_dual(found)
        return values[0], torch.zeros_like(values) if slopes is None else slopes
