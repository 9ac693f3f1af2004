"""How far a difference goes: the same everywhere, by the rule of best practice, or drawn."""

import math
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives._draws import Held, checked_hold
from counterpoint.errors import InputError
from counterpoint.seeding import generator


@runtime_checkable
class StepSize(Protocol):
    """Lengths in the units of the inputs; a frozen dataclass."""

    def lengths(self, reach: Float[Tensor, "ways rows"], order: int) -> Float[Tensor, "ways rows"]:
        """One length, of either sign, a direction and point.

        Args:
            reach: how large a point is along a direction, ``|x_d|`` for unit directions.
            order: of accuracy of the difference that asks.
        """
        ...


def best(dtype: torch.dtype, order: int) -> float:
    """The relative step at which rounding and truncation err alike, ``eps^(1 / (order + 1))``.

    >>> best(torch.float64, 1), best(torch.float64, 2) # doctest: +ELLIPSIS
    (1.49...e-08, 6.05...e-06)
    """
    # the formula errs by about h^p, rounding by eps / h (Press et al., Numerical Recipes, 3rd
    # edition 2007, section 5.7)
    return torch.finfo(dtype).eps ** (1 / (order + 1))


def checked_size(what: str, size: float | int) -> None:
    """Refuse a length that is not positive and finite."""
    if not (0 < size < math.inf):
        raise InputError(f"{what} must be positive and finite, found {size:g}")


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
        # one draw for all directions, so a gradient is that of one smoothed function
        lengths = drawn.to(reach).expand_as(reach)
        return lengths.abs().clamp_min(least * reach.clamp_min(1)).copysign(lengths)

    def _draw(self, rows: int) -> Float[Tensor, " rows"]:
        source = self.generator
        draws = torch.randn(rows, dtype=torch.float64, generator=source, device=source.device)
        return draws * self.deviation
