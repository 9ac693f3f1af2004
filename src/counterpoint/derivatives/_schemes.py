"""The schemes by name."""

from collections.abc import Mapping

from counterpoint.derivatives._complex_step import ComplexStep
from counterpoint.derivatives._differences import (
    BackwardDifference,
    CentralDifference,
    ForwardDifference,
    Richardson,
)
from counterpoint.derivatives._exact import Auto, ForwardMode, ReverseMode
from counterpoint.derivatives._scheme import Scheme
from counterpoint.errors import one_of

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
    """The scheme of a name, in whatever case, with its defaults; a scheme itself passes through.

    Raises:
        InputError: no scheme has this name.

    >>> scheme("central")
    CentralDifference(step=Relative(factor=None))
    """
    if not isinstance(chosen, str):
        return chosen
    return SCHEMES[one_of("scheme", chosen, SCHEMES)]
