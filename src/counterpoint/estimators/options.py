"""Settings of the estimators' networks, checked when they are fitted, and their activations."""

import math
from collections.abc import Callable
from numbers import Integral

from torch import nn

from counterpoint.errors import InputError, one_of

__all__ = ["ACTIVATIONS", "activation_of", "at_least", "below_one", "share", "whole"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
}
"""What a hidden unit does with its sum; all but the first have slopes that change smoothly."""


def activation_of(name: str) -> Callable[[], nn.Module]:
    """What makes the activation of that name.

    Raises:
        InputError: there is none; names the nearest.
    """
    return ACTIVATIONS[one_of("activation", name, ACTIVATIONS)]


def whole(name: str, found: object, least: int) -> int:
    """A setting that is a whole number, of at least so many.

    Raises:
        InputError: it is something else.
    """
    if isinstance(found, bool) or not isinstance(found, Integral) or found < least:
        raise InputError(f"{name}: expected a whole number of at least {least}, found {found!r}")
    return int(found)


def at_least(name: str, found: object, low: float) -> float:
    """A setting that is a finite number, not below `low`.

    Raises:
        InputError: it is something else.
    """
    if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found < math.inf:
        raise InputError(f"{name}: expected a finite number of at least {low:g}, found {found!r}")
    return float(found)


def share(name: str, found: object) -> float:
    """A setting that is a share of something: above 0, at most 1.

    Raises:
        InputError: it is something else.
    """
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found <= 1:
        raise InputError(f"{name}: expected a number above 0 and at most 1, found {found!r}")
    return float(found)


def below_one(name: str, found: object) -> float:
    """A setting that is a number from 0 to below 1.

    Raises:
        InputError: it is something else.
    """
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < 1:
        raise InputError(f"{name}: expected a number from 0 to below 1, found {found!r}")
    return float(found)
