"""Exact slopes carried forward beside the values."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.differences import unit_directions
from counterpoint.derivatives.function import Function
from counterpoint.derivatives.layers import push
from counterpoint.derivatives.scheme import Slopes
from counterpoint.derivatives.schemes.reverse_mode import backwards, evaluated

__all__ = ["ForwardMode", "forwards"]


@dataclass(frozen=True)
class ForwardMode:
    """``d f(x + t v) / dt`` exact, by one evaluation and a pass for each direction.

    Through the layers of a `torch.nn.Sequential` (linear, activations, dropout, layer
    normalisation) slopes are pushed forward beside the values, and the cost grows with the number
    of directions and not with that of outputs. So it does for any other function where no graph is
    asked for (under `torch.no_grad`): it is taken backward twice, as ``J'u`` is linear in u and its
    own derivative by u along v is ``J v``. Where a graph is asked for, other functions go in
    reverse mode: torch's kernels, such as layer normalisation, are not right when they are
    differentiated three times, nor are its dual numbers when they are differentiated. Of a
    function with kinks (ReLU) it gives the slope beside the kink, and a derivative by the weights
    that does not know that kinks move.
    """

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one evaluation."""
        found = push(function, x, directions)
        if found is not None:
            return found.values, found.slopes()
        values, points = evaluated(function, x)
        if torch.is_grad_enabled():
            return backwards(values, points, directions, kept=True)
        return forwards(values, points, directions)


def forwards(
    values: Float[Tensor, "rows outputs"],
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
) -> Slopes:
    """Slopes without a graph, from values with one to the points, two backward passes deep.

    Args:
        values: of the function.
        x: the points, requiring a gradient.
        directions: v; None for the unit directions.
    """
    ways, shown = unit_directions(x) if directions is None else directions, values.detach()
    if not values.requires_grad:
        return shown, values.new_zeros(len(ways), *values.shape)
    with torch.enable_grad():
        weights = torch.zeros_like(values, requires_grad=True)
        pulled = torch.autograd.grad(values, x, weights, create_graph=True, materialize_grads=True)[
            0
        ]
    if not pulled.requires_grad:  # nothing depends on x
        return shown, values.new_zeros(len(ways), *values.shape)
    slopes = [
        torch.autograd.grad(pulled, weights, way, retain_graph=True, materialize_grads=True)[0]
        for way in ways
    ]
    return shown, torch.stack(slopes)
