"""The difference from behind to ahead."""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.differences import shifted
from counterpoint.derivatives.function import Function
from counterpoint.derivatives.scheme import Slopes
from counterpoint.derivatives.steps import Relative, Step

__all__ = ["CentralDifference"]


@dataclass(frozen=True)
class CentralDifference:
    """``(f(x + h v) - f(x - h v)) / 2h``, of order 2: two evaluations a direction.

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
        at = shifted(function, x, directions, self.step, (1.0, -1.0), order=2)
        ahead, behind = at.outputs.unbind()
        return at.values, (ahead - behind) / (at.moved[0] - at.moved[1])
