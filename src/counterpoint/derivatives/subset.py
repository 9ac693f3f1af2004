"""A random part of the rows, held for a stated number of evaluations."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from counterpoint.derivatives.held import Held, checked_hold
from counterpoint.errors import InputError
from counterpoint.seeding import generator

__all__ = ["Subset"]


@dataclass(frozen=True)
class Subset:
    """Which points to differentiate at: a share of the rows, drawn without replacement.

    Attributes:
        share: of the rows, above 0 and at most 1; one row at least is drawn.
        generator: where draws come from; none given means one of its own, from seed 0.
        hold: evaluations that a draw serves: 1 for a new one each; None: the first serves all.
            Another number of rows draws anew.

    Raises:
        InputError: the share is not above 0 and at most 1, or the hold is below 1.

    >>> sorted(Subset(1.0).rows(3).tolist()), len(Subset(0.5).rows(10))
    ([0, 1, 2], 5)
    """

    share: float
    generator: torch.Generator = field(
        default_factory=lambda: generator(0), repr=False, compare=False
    )
    hold: int | None = 1
    _held: Held = field(default_factory=Held, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"Subset: share must be above 0 and at most 1, found {self.share:g}")
        checked_hold("Subset", self.hold)

    def rows(self, total: int) -> Int[Tensor, " chosen"]:
        """Indices of the chosen rows of so many, on the generator's device.

        Args:
            total: how many rows there are.
        """
        return self._held.take(total, self.hold, lambda: self._draw(total))

    def _draw(self, total: int) -> Int[Tensor, " chosen"]:
        source = self.generator
        order = torch.randperm(total, generator=source, device=source.device)
        return order[: max(1, round(self.share * total))]
