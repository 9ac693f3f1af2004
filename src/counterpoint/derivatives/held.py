"""One draw that several evaluations share, for objectives that must not change while searched."""

from collections.abc import Callable

from torch import Tensor

from counterpoint.errors import InputError

__all__ = ["Held", "checked_hold"]


class Held:
    """The draw last made, how many rows it is for, and how often it has been used."""

    def __init__(self) -> None:
        self._draw: Tensor | None = None
        self._rows = 0
        self._used = 0

    def take(self, rows: int, hold: int, draw: Callable[[], Tensor]) -> Tensor:
        """The held draw, or a new one where it is used up or is for another number of rows.

        Args:
            rows: how many the draw is for.
            hold: evaluations a draw serves; 0: all.
            draw: makes one.
        """
        if self._draw is None or self._rows != rows or self._used == hold > 0:
            self._draw, self._rows, self._used = draw(), rows, 0
        self._used += 1
        return self._draw


def checked_hold(what: str, hold: int) -> None:
    """Refuse a number of evaluations that is negative.

    Raises:
        InputError: names the thing that holds.
    """
    if hold < 0:
        raise InputError(f"{what}: hold must be 0 (for ever) or more evaluations, found {hold}")
