"""A step by the rule of best practice: in proportion to the point, and to what numbers resolve."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.steps.step import best, checked_size

__all__ = ["Relative"]


@dataclass(frozen=True)
class Relative:
    """``h = factor max(1, |x|)``, rounded so that ``x + h`` is exact.

    Without a factor it is ``eps^(1 / (p + 1))`` for a difference of order p: the square root of
    the machine's epsilon for one-sided differences (1.5e-8; 3.5e-4 in float32), the cube root for
    central ones (6e-6; 5e-3), the fifth root for order 4 (7e-4; 4e-2). For smooth functions only:
    on a ReLU network steps so small see no kink.

    Attributes:
        factor: of ``max(1, |x|)``; None for the rule.

    Raises:
        InputError: the factor is not positive and finite.
    """

    factor: float | None = None

    def __post_init__(self) -> None:
        if self.factor is not None:
            checked_size("step Relative: factor", self.factor)

    def lengths(self, reach: Float[Tensor, "ways rows"], order: int) -> Float[Tensor, "ways rows"]:
        """In proportion to the reach."""
        factor = best(reach.dtype, order) if self.factor is None else self.factor
        return reach.clamp_min(1) * factor
