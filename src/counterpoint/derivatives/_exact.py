"""Exact schemes: backward for each output, forward for each direction, or the faster of the two."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from counterpoint.derivatives._function import Function, columns, unit_directions
from counterpoint.derivatives._layers import push
from counterpoint.derivatives._scheme import Slopes


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
        values, points = _evaluated(function, x)
        return _backwards(values, points, directions, kept=torch.is_grad_enabled())


def _evaluated(
    function: Function, x: Float[Tensor, "rows inputs"]
) -> tuple[Float[Tensor, "rows outputs"], Float[Tensor, "rows inputs"]]:
    """Values with a graph to the points that come beside them, ready for `_backwards`."""
    kept = torch.is_grad_enabled()
    # the fused attention kernels have no second derivative
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        points = _leaf(x, kept=kept)
        return columns(function(points), len(x)), points


def _leaf(x: Float[Tensor, "rows inputs"], *, kept: bool) -> Float[Tensor, "rows inputs"]:
    """Points to differentiate by: x itself where it has a graph that is to be kept."""
    return x if kept and x.requires_grad else x.detach().requires_grad_()


def _backwards(
    values: Float[Tensor, "rows outputs"],
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
    *,
    kept: bool,
) -> Slopes:
    """Slopes from values with a graph to x; they have a graph themselves if `kept`."""
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
    # rows are independent, so one pick serves output m of all of them at once
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
        values, points = _evaluated(function, x)
        if torch.is_grad_enabled():
            return _backwards(values, points, directions, kept=True)
        return _forwards(values, points, directions)


def _forwards(
    values: Float[Tensor, "rows outputs"],
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
) -> Slopes:
    """Slopes without a graph, from values with one to x, two backward passes deep."""
    ways, shown = unit_directions(x) if directions is None else directions, values.detach()
    if not values.requires_grad:
        return shown, values.new_zeros(len(ways), *values.shape)
    with torch.enable_grad():
        # J'u is linear in u: its derivative is the same at every u, so zeros serve
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


_WAYS_AN_OUTPUT = 4
"""Directions pushed forward that cost as much as one output backward, as measured."""
_OUTPUTS_A_WAY = 2
"""Outputs backward that cost as much as one direction backward twice."""


@dataclass(frozen=True)
class Auto:
    """Reverse or forward mode, the faster for that many outputs; one evaluation either way.

    Of a `torch.nn.Sequential` that slopes can be pushed through: reverse mode for one output, or at
    most a quarter as many as directions. Of any other function: reverse mode, unless no graph is
    asked for and there are more than two outputs a direction. Never a difference: its step is a
    choice that only the user can make.
    """

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By the scheme chosen."""
        kept = torch.is_grad_enabled()
        ways = x.shape[1] if directions is None else len(directions)
        with torch.enable_grad():
            # with a graph, since which way is taken is decided by what comes out
            points = _leaf(x, kept=kept)
            found = push(function, points, directions)
        if found is None:
            values, points = _evaluated(function, x)
            if not kept and ways * _OUTPUTS_A_WAY < values.shape[1]:
                return _forwards(values, points, directions)
            return _backwards(values, points, directions, kept=kept)
        if found.values.shape[1] * _WAYS_AN_OUTPUT <= max(ways, _WAYS_AN_OUTPUT):
            return _backwards(found.values, points, directions, kept=kept)
        return found.values if kept else found.values.detach(), found.slopes()
