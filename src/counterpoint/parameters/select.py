"""Choose parameters of a module by name, by submodule, or by a function."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from torch import nn

from counterpoint.errors import InputError, nearest

__all__ = ["Pattern", "named", "select"]

Pattern: TypeAlias = str | nn.Module | Sequence[str] | Callable[[str, nn.Parameter], bool]
"""A glob, several globs, a submodule, or a function of (name, parameter)."""


def named(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter by name, in the module's order; tied weights once.

    >>> list(named(nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    return dict(model.named_parameters())


def select(model: nn.Module, pattern: Pattern) -> dict[str, nn.Parameter]:
    """The parameters that a pattern chooses, in the module's order.

    Args:
        model: the module whose parameters are meant.
        pattern: see `Pattern`; ``*`` in a glob also crosses dots.

    Raises:
        InputError: a glob, submodule or function matches no parameter (names the nearest).
    """
    parameters = named(model)
    if isinstance(pattern, str):
        return _glob(parameters, pattern)
    if isinstance(pattern, nn.Module):
        inside = {id(parameter) for parameter in pattern.parameters()}
        chosen = {name: value for name, value in parameters.items() if id(value) in inside}
        return _some(chosen, f"the {type(pattern).__name__} given", parameters)
    if isinstance(pattern, Sequence):
        names = {name for glob in pattern for name in _glob(parameters, glob)}
        return {name: value for name, value in parameters.items() if name in names}
    chosen = {name: value for name, value in parameters.items() if pattern(name, value)}
    return _some(chosen, "the function given", parameters)


def _glob(parameters: dict[str, nn.Parameter], glob: str) -> dict[str, nn.Parameter]:
    chosen = {name: value for name, value in parameters.items() if fnmatchcase(name, glob)}
    return _some(chosen, f"{glob!r}", parameters)


def _some(
    chosen: dict[str, nn.Parameter], what: str, parameters: dict[str, nn.Parameter]
) -> dict[str, nn.Parameter]:
    if chosen:
        return chosen
    raise InputError(
        f"{what} matches no parameter of the model{nearest(what.strip(chr(39)), parameters)}"
    )
