"""Schemes: one way to differentiate each, with one interface."""

from collections.abc import Mapping

from counterpoint.derivatives.scheme import Scheme
from counterpoint.derivatives.schemes.auto import Auto
from counterpoint.derivatives.schemes.backward_difference import BackwardDifference
from counterpoint.derivatives.schemes.central_difference import CentralDifference
from counterpoint.derivatives.schemes.complex_step import ComplexStep
from counterpoint.derivatives.schemes.forward_difference import ForwardDifference
from counterpoint.derivatives.schemes.forward_mode import ForwardMode
from counterpoint.derivatives.schemes.reverse_mode import ReverseMode
from counterpoint.derivatives.schemes.richardson import Richardson
from counterpoint.errors import InputError, nearest

__all__ = [
    "SCHEMES",
    "Auto",
    "BackwardDifference",
    "CentralDifference",
    "ComplexStep",
    "ForwardDifference",
    "ForwardMode",
    "ReverseMode",
    "Richardson",
    "scheme",
]

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
