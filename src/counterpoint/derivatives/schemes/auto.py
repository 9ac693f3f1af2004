"""The fastest exact scheme for how many inputs and outputs there are."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.function import Function
from counterpoint.derivatives.pushed import push
from counterpoint.derivatives.scheme import Slopes
from counterpoint.derivatives.schemes.forward_mode import ForwardMode
from counterpoint.derivatives.schemes.reverse_mode import ReverseMode, backwards, leaf

__all__ = ["Auto"]

WAYS_AN_OUTPUT = 4
"""Directions forward that cost as much as one output backward, as measured."""


@dataclass(frozen=True)
class Auto:
    """Reverse mode for one output, or fewer than a quarter of the directions; else forward mode.

    The function is evaluated once, and then seen to have so many outputs. Never a difference: its
    step is a choice that only the user can make.
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
            points = leaf(x, kept=kept)
            found = push(function, points, directions)
        if found is None:  # dual numbers copy the points for every direction
            forward = ways == 1 or torch.compiler.is_compiling()  # which traces no backward pass
            exact = ForwardMode() if forward else ReverseMode()
            return exact.slopes(function, x, directions)
        if found.values.shape[1] * WAYS_AN_OUTPUT <= max(ways, WAYS_AN_OUTPUT):
            return backwards(found.values, points, directions, kept=kept)
        return found.values if kept else found.values.detach(), found.slopes()
