"""Steps drawn at random, one a point, held for a stated number of evaluations."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.held import Held, checked_hold
from counterpoint.derivatives.steps.step import best, checked_size
from counterpoint.errors import InputError
from counterpoint.seeding import generator

__all__ = ["Drawn"]


@dataclass(frozen=True)
class Drawn:
    """``h_n ~ N(0, deviation^2)``, one a point, whatever the direction.

    Drawn anew every evaluation as in LUNA (Thakur et al. 2020, arXiv 2006.11695, appendix B) an
    objective is noisy: line searches need `hold`. A draw nearer to 0 than ``sqrt(eps) max(1, |x|)``
    is moved out to that length, as its quotient would be rounding. Draws are made in float64 on the
    generator's device, so that types and devices see the same.

    Attributes:
        deviation: standard deviation, in the units of the inputs.
        generator: where draws come from; none given means one of its own, from seed 0.
        hold: evaluations that a draw serves: 1 for a new one each; None: the first serves all.
            Another number of rows draws anew.

    Raises:
        InputError: the deviation is not positive and finite, or the hold is below 1.
    """

    deviation: float = 0.1
    generator: torch.Generator = field(
        default_factory=lambda: generator(0), repr=False, compare=False
    )
    hold: int | None = 1
    _held: Held = field(default_factory=Held, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        checked_size("step Drawn: deviation", self.deviation)
        checked_hold("step Drawn", self.hold)

    def lengths(
        self,
        reach: Float[Tensor, "ways rows"],
        order: int,  # noqa: ARG002 - as every step
    ) -> Float[Tensor, "ways rows"]:
        """The held draws, the same along every direction.

        Raises:
            InputError: the deviation is below what the type resolves.
        """
        least = best(reach.dtype, 1)
        if self.deviation < least:
            raise InputError(
                f"step Drawn: deviation must be at least {least:.2g} in {reach.dtype}, "
                f"found {self.deviation:g}"
            )
        drawn = self._held.take(reach.shape[1], self.hold, lambda: self._draw(reach.shape[1]))
        lengths = drawn.to(reach).expand_as(reach)
        return lengths.abs().clamp_min(least * reach.clamp_min(1)).copysign(lengths)

    def _draw(self, rows: int) -> Float[Tensor, " rows"]:
        source = self.generator
        draws = torch.randn(rows, dtype=torch.float64, generator=source, device=source.device)
        return draws * self.deviation
