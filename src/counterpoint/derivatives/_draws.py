"""What is drawn at random and held: one draw that several evaluations share, and rows by it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.seeding import generator


class Held:
    """The draw last made, how many rows it is for, and how often it has been used."""

    def __init__(self) -> None:
        self._draw: Tensor | None = None
        self._rows = 0
        self._used = 0

    def take(self, rows: int, hold: int | None, draw: Callable[[], Tensor]) -> Tensor:
        """The held draw; a new one after `hold` uses (None: never) or for other rows."""
        # other rows are other points: what was drawn for the old ones means nothing there
        if self._draw is None or self._rows != rows or self._used == hold:
            self._draw, self._rows, self._used = draw(), rows, 0
        self._used += 1
        return self._draw


def checked_hold(what: str, hold: int | None) -> None:
    """Refuse a number of evaluations below one."""
    if hold is not None and hold < 1:
        raise InputError(
            f"{what}: hold must be 1 or more evaluations, or None for one draw for ever, "
            f"found {hold}"
        )


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
