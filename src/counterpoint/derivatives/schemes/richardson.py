"""Central differences of halved steps, combined so that their leading errors cancel."""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.differences import shifted
from counterpoint.derivatives.function import Function
from counterpoint.derivatives.scheme import Slopes
from counterpoint.derivatives.steps import Relative, Step
from counterpoint.errors import InputError

__all__ = ["Richardson"]


@dataclass(frozen=True)
class Richardson:
    """``(4 D(h / 2) - D(h)) / 3`` of central differences D, of order 4, and so on.

    With L levels the steps are ``h, h/2, ..., h/2^(L-1)``, the order is 2 L and there are 2 L
    evaluations a direction (Richardson 1911; Press et al., Numerical Recipes, section 5.7).

    Attributes:
        step: gives h.
        levels: L, from 1 (the central difference) to 8.

    Raises:
        InputError: the levels are not from 1 to 8.
    """

    step: Step = field(default_factory=Relative)
    levels: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= 8:
            raise InputError(f"scheme Richardson: levels must be 1 to 8, found {self.levels}")

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one batched evaluation."""
        offsets = [sign / 2**level for level in range(self.levels) for sign in (1, -1)]
        at = shifted(function, x, directions, self.step, offsets, order=2 * self.levels)
        rising, falling = at.outputs[::2], at.outputs[1::2]
        table = (rising - falling) / (at.moved[::2] - at.moved[1::2])
        for level in range(1, self.levels):
            table = table[1:] + (table[1:] - table[:-1]) / (4**level - 1)
        return at.values, table[0]
