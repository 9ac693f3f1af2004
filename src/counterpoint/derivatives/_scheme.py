"""What a scheme is: slopes of a function along directions, and its values on the way."""

from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives._function import Function

Slopes: TypeAlias = tuple[Float[Tensor, "rows outputs"], Float[Tensor, "ways rows outputs"]]
"""The values at the points, and the slopes along each way."""


@runtime_checkable
class Scheme(Protocol):
    """A way to differentiate; a frozen dataclass.

    What it gives has a graph to the weights that the function reads (where gradients are enabled),
    and to x where that requires a gradient. It leaves torch's random state where one evaluation of
    the function leaves it.
    """

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """Values ``f(x_n)`` and slopes ``d f(x_n + t v_kn) / dt`` at ``t = 0``.

        Args:
            function: row by row; its outputs are checked here (`columns`, `together`).
            x: the points, already checked.
            directions: v, already checked; None stands for the unit directions, one an input.
        """
        ...
