"""What the keys of a recipe share: values in their range."""

from counterpoint.errors import InputError

_LARGEST = 2**63 - 1  # what TOML, JSON readers and torch's generators hold


def whole(name: str, value: object, low: int, high: int = _LARGEST) -> None:
    """Refuse what is no whole number from `low` to `high`; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        bounds = f"of at least {low}" if high == _LARGEST else f"from {low} to {high:g}"
        raise InputError(f"{name}: expected a whole number {bounds}, found {value!r}")


def number(name: str, value: object, low: float, high: float) -> None:
    """Refuse what is no number from `low` to `high`, NaN among it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{name}: expected a number from {low:g} to {high:g}, found {value!r}")
