"""The one-sided difference behind."""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.differences import shifted
from counterpoint.derivatives.function import Function
from counterpoint.derivatives.scheme import Slopes
from counterpoint.derivatives.steps import Relative, Step

__all__ = ["BackwardDifference"]


@dataclass(frozen=True)
class BackwardDifference:
    """``(f(x) - f(x - h v)) / h``, of order 1: one evaluation a direction beside that at x.

    Attributes:
        step: gives h.
    """

    step: Step = field(default_factory=Relative)

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one batched evaluation."""
        at = shifted(function, x, directions, self.step, (-1.0,), order=1)
        return at.values, (at.outputs.squeeze(0) - at.values) / at.moved.squeeze(0)
