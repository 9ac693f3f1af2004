"""Exact gradients by one evaluation and a backward pass for each output."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from counterpoint.derivatives.function import Function, columns
from counterpoint.derivatives.scheme import Slopes

__all__ = ["ReverseMode", "backwards", "evaluated", "leaf"]


@dataclass(frozen=True)
class ReverseMode:
    """``grad f_m(x)`` exact, and its products with directions.

    Its cost grows with the number of outputs and not with that of inputs. Of a function with kinks
    (ReLU) it gives the slope beside the kink, and a derivative by the weights that does not know
    that kinks move.
    """

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one evaluation and a backward pass an output."""
        values, points = evaluated(function, x)
        return backwards(values, points, directions, kept=torch.is_grad_enabled())


def evaluated(
    function: Function, x: Float[Tensor, "rows inputs"]
) -> tuple[Float[Tensor, "rows outputs"], Float[Tensor, "rows inputs"]]:
    """Values with a graph to the points that come beside them, ready for `backwards`."""
    kept = torch.is_grad_enabled()
    # the fused attention kernels have no second derivative
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        points = leaf(x, kept=kept)
        return columns(function(points), len(x)), points


def leaf(x: Float[Tensor, "rows inputs"], *, kept: bool) -> Float[Tensor, "rows inputs"]:
    """Points to differentiate by: x itself where it has a graph that is to be kept."""
    return x if kept and x.requires_grad else x.detach().requires_grad_()


def backwards(
    values: Float[Tensor, "rows outputs"],
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
    *,
    kept: bool,
) -> Slopes:
    """Slopes from values that have been computed with a graph to the points.

    Args:
        values: of the function.
        x: the points, requiring a gradient.
        directions: v; None for the unit directions.
        kept: whether the slopes shall have a graph.
    """
    found = _gradients(values, x, kept=kept)
    slopes = (
        found.permute(2, 1, 0)
        if directions is None
        else torch.einsum("mnd,knd->knm", found, directions)
    )
    return values if kept else values.detach(), slopes


def _gradients(
    values: Float[Tensor, "rows outputs"], x: Float[Tensor, "rows inputs"], *, kept: bool
) -> Float[Tensor, "outputs rows inputs"]:
    """Every output's gradient; one backward pass each, which torch.vmap would not make cheaper."""
    if not values.requires_grad:
        return x.new_zeros(values.shape[1], *x.shape)
    picks = torch.eye(values.shape[1], dtype=values.dtype, device=values.device)
    return torch.stack(
        [
            torch.autograd.grad(
                values,
                x,
                pick.expand_as(values),
                create_graph=kept,
                retain_graph=True,
                materialize_grads=True,
            )[0]
            for pick in picks
        ]
    )
