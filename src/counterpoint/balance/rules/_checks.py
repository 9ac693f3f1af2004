"""What every rule asks of its numbers."""

import math

from counterpoint.errors import InputError


def finite(name: str, value: float) -> None:
    """Refuse NaN and infinity."""
    if not math.isfinite(value):
        raise InputError(f"{name}: must be a finite number, found {value}")


def at_least(name: str, value: float, least: float, *, example: float) -> None:
    """Refuse what is below `least` or not finite; with ``least = 0`` zero itself is allowed."""
    if not (least <= value < math.inf):
        raise InputError(
            f"{name}: must be a number of at least {least:g}, found {value}; "
            f"for example {example:g}"
        )


def between(name: str, value: float, low: float, high: float, *, example: float) -> None:
    """Refuse what is not in ``[low, high)``."""
    if not (low <= value < high):
        raise InputError(
            f"{name}: must be at least {low:g} and below {high:g}, found {value}; "
            f"for example {example:g}"
        )
