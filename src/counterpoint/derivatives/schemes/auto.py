"""The fastest exact scheme for how many inputs and outputs there are."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.function import Function
from counterpoint.derivatives.layers import push
from counterpoint.derivatives.scheme import Slopes
from counterpoint.derivatives.schemes.forward_mode import forwards
from counterpoint.derivatives.schemes.reverse_mode import backwards, evaluated, leaf

__all__ = ["Auto"]

WAYS_AN_OUTPUT = 4
"""Directions pushed forward that cost as much as one output backward, as measured."""
OUTPUTS_A_WAY = 2
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
            points = leaf(x, kept=kept)
            found = push(function, points, directions)
        if found is None:
            values, points = evaluated(function, x)
            if not kept and ways * OUTPUTS_A_WAY < values.shape[1]:
                return forwards(values, points, directions)
            return backwards(values, points, directions, kept=kept)
        if found.values.shape[1] * WAYS_AN_OUTPUT <= max(ways, WAYS_AN_OUTPUT):
            return backwards(found.values, points, directions, kept=kept)
        return found.values if kept else found.values.detach(), found.slopes()
