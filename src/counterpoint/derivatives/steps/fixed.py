"""The same step everywhere."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.steps.step import checked_size

__all__ = ["Fixed"]


@dataclass(frozen=True)
class Fixed:
    """``h`` at every point; a step of 0.01 to 0.1 of standardised inputs smooths over kinks.

    Attributes:
        size: h, in the units of the inputs.

    Raises:
        InputError: the size is not positive and finite.
    """

    size: float

    def __post_init__(self) -> None:
        checked_size("step Fixed: size", self.size)

    def lengths(
        self,
        reach: Float[Tensor, "ways rows"],
        order: int,  # noqa: ARG002 - as every step
    ) -> Float[Tensor, "ways rows"]:
        """The size, at every point."""
        return torch.full_like(reach, self.size)
