"""Choose parameters or modules of a model by name, by module, or by a function."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TypeAlias, TypeVar

from torch import nn

from counterpoint.errors import InputError, nearest
from counterpoint.parameters._unwrapped import unwrapped

_Part: TypeAlias = str | nn.Module
Pattern: TypeAlias = _Part | Sequence[_Part] | Callable[[str, nn.Parameter], bool]
"""A dotted name, a glob, a module, several of these, or a function of name and parameter."""

_Value = TypeVar("_Value")

_WILD = set("*?[")


def named(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter by name, in the module's order; tied weights once, under the first name.

    Args:
        model: wrapped or not; names are those in the `unwrapped` one.

    >>> list(named(nn.DataParallel(nn.Linear(2, 1))))
    ['weight', 'bias']
    """
    return dict(unwrapped(model).named_parameters())


def select(model: nn.Module, pattern: Pattern) -> dict[str, nn.Parameter]:
    """The parameters that a pattern chooses, in the module's order.

    A name or glob that matches a module stands for all parameters in it; ``*`` also crosses dots.

    Args:
        model: the module whose parameters are meant, wrapped or not.
        pattern: see `Pattern`.

    Raises:
        InputError: a name, glob, module or function matches no parameter (names the nearest).

    >>> net = nn.ModuleDict({"trunk": nn.Linear(3, 2), "head": nn.Linear(2, 1)})
    >>> list(select(net, ["trunk", "head.b*"]))
    ['trunk.weight', 'trunk.bias', 'head.bias']
    """
    parameters = named(model)
    if not isinstance(pattern, str | nn.Module | Sequence):
        if not callable(pattern):  # pyright: ignore[reportUnnecessaryComparison]
            raise InputError(
                "weights are chosen by a dotted name, a glob, a module, a list of these, or by"
                f" a function of (name, parameter); found a {type(pattern).__name__}"
            )
        chosen = {name: value for name, value in parameters.items() if pattern(name, value)}
        return _some(chosen, "the function given matches no parameter of the model", "", parameters)
    # under all its names: a tied weight is chosen by any, and is known by the first
    names = dict(unwrapped(model).named_parameters(remove_duplicate=False))
    chosen = set[int]()
    for part in _parts(pattern):
        chosen |= {id(value) for value in _parameters(part, names)}
    return {name: value for name, value in parameters.items() if id(value) in chosen}


def modules(model: nn.Module, pattern: _Part | Sequence[_Part]) -> dict[str, nn.Module]:
    """The modules of a model that a pattern chooses, in the model's order.

    Args:
        model: the module whose parts are meant, wrapped or not.
        pattern: a dotted name, a glob (``*`` also crosses dots), a module, or several of these.

    Raises:
        InputError: a name, glob or module matches no module (names the nearest).

    >>> net = nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.Linear(2, 2), nn.Tanh()))
    >>> list(modules(net, "1.*")), list(modules(net, net[1]))
    (['1.0', '1.1'], ['1'])
    """
    bare = unwrapped(model)
    # one plain name, asked for every step by a balancer's `at=`: no need to go through all of them
    if isinstance(pattern, str) and not _WILD & set(pattern):
        with suppress(AttributeError):  # what is not there is refused below, with the nearest
            return {pattern: bare.get_submodule(pattern)}
    known = dict(bare.named_modules())
    chosen = set[str]()
    for part in _parts(pattern):
        chosen |= _modules(part, known).keys()
    return {name: module for name, module in known.items() if name in chosen}


def _parts(pattern: _Part | Sequence[_Part]) -> Sequence[_Part]:
    parts = [pattern] if isinstance(pattern, str | nn.Module) else pattern
    if not parts:
        raise InputError("a list of names, globs or modules is empty, and chooses nothing")
    return parts


def _parameters(part: _Part, names: Mapping[str, nn.Parameter]) -> list[nn.Parameter]:
    if isinstance(part, nn.Module):
        inside = {id(value) for value in part.parameters()}
        chosen = {name: value for name, value in names.items() if id(value) in inside}
        what, name = f"the {type(part).__name__} given", ""
    else:
        matching = (name for name in names if any(fnmatchcase(one, part) for one in _within(name)))
        chosen = {name: names[name] for name in matching}
        what, name = f"{part!r}", part
    known = {one for name in names for one in _within(name)}
    return list(_some(chosen, f"{what} matches no parameter of the model", name, known).values())


def _modules(part: _Part, known: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    if isinstance(part, nn.Module):
        # both unwrapped: a part of the model may be compiled by itself
        given = unwrapped(part)
        chosen = {name: module for name, module in known.items() if unwrapped(module) is given}
        what, name = f"the {type(part).__name__} given is no module of the model", ""
    else:
        chosen = {name: module for name, module in known.items() if fnmatchcase(name, part)}
        what, name = f"{part!r} matches no module of the model", part
    return _some(chosen, what, name, known)


def _within(name: str) -> Iterator[str]:
    """The modules that a parameter is in, by their dotted names, and itself.

    >>> list(_within("trunk.0.weight"))
    ['trunk', 'trunk.0', 'trunk.0.weight']
    """
    steps = name.split(".")
    return (".".join(steps[: end + 1]) for end in range(len(steps)))


def _some(
    chosen: dict[str, _Value], refusal: str, name: str, known: Iterable[str]
) -> dict[str, _Value]:
    if chosen:
        return chosen
    # the model itself is the module without a name
    raise InputError(f"{refusal}{nearest(name, [one for one in known if one])}")
