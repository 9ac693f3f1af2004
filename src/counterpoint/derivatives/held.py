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

    def take(self, rows: int, hold: int | None, draw: Callable[[], Tensor]) -> Tensor:
        """The held draw, or a new one where it is used up or is for another number of rows.

        Args:
            rows: how many the draw is for.
            hold: evaluations a draw serves; None: all.
            draw: makes one.
        """
        if self._draw is None or self._rows != rows or self._used == hold:
            self._draw, self._rows, self._used = draw(), rows, 0
        self._used += 1
        return self._draw


def checked_hold(what: str, hold: int | None) -> None:
    """Refuse a number of evaluations below one.

    Raises:
        InputError: names the thing that holds.
    """
    if hold is not None and hold < 1:
        raise InputError(
            f"{what}: hold must be 1 or more evaluations, or None for one draw for ever, "
            f"found {hold}"
        )
