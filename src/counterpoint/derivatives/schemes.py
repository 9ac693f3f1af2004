"""The schemes by name."""

from collections.abc import Mapping

from counterpoint.derivatives.complex_step import ComplexStep
from counterpoint.derivatives.differences import (
    BackwardDifference,
    CentralDifference,
    ForwardDifference,
    Richardson,
)
from counterpoint.derivatives.exact import Auto, ForwardMode, ReverseMode
from counterpoint.derivatives.scheme import Scheme
from counterpoint.errors import InputError, nearest

__all__ = ["SCHEMES", "scheme"]

SCHEMES: Mapping[str, Scheme] = {
    "auto": Auto(),
    "forward-mode": ForwardMode(),
    "reverse-mode": ReverseMode(),
    "forward": ForwardDifference(),
    "backward": BackwardDifference(),
    "central": CentralDifference(),
    "richardson": Richardson(),
    "complex-step": ComplexStep(),
}
"""Names that stand for a scheme with its defaults."""


def scheme(chosen: str | Scheme) -> Scheme:
    """The scheme of a name, with its defaults; a scheme itself passes through.

    Raises:
        InputError: no scheme has this name.

    >>> scheme("central")
    CentralDifference(step=Relative(factor=None))
    """
    if not isinstance(chosen, str):
        return chosen
    if chosen not in SCHEMES:
        raise InputError(f"scheme: {chosen!r} is not one{nearest(chosen, SCHEMES)}")
    return SCHEMES[chosen]
