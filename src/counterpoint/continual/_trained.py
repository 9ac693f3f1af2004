"""Which weights of a model a memory is about, and whether they are those that it was made of."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from counterpoint.errors import InputError, nearest
from counterpoint.parameters import Pattern, named, select

_LISTED = 3


def trained(model: nn.Module, parameters: Pattern | None) -> dict[str, nn.Parameter]:
    """The parameters that a pattern chooses; none means all that are trained."""
    if parameters is not None:
        return select(model, parameters)
    return {name: value for name, value in named(model).items() if value.requires_grad}


def held(
    model: nn.Module,
    shapes: Mapping[str, torch.Size],
    parameters: Pattern | None,
    *,
    grown: bool,
) -> dict[str, nn.Parameter]:
    """The parameters that a memory holds, in its order, seen to be the same ones."""
    now = named(model)
    if not grown:
        # the usual case, decided without a look at anything that was not asked for
        chosen = trained(model, parameters)
        _refuse(chosen.keys() - shapes.keys(), "new", shapes, hint=True)
    # a weight that is gone is refused even where growth is allowed: nothing holds its place
    _refuse(shapes.keys() - now.keys(), "gone", now)
    for name, shape in shapes.items():
        if now[name].shape != shape and not (grown and _longer(now[name].shape, shape)):
            hint = "" if grown else "; if it grew, grown=True keeps the old part and frees the new"
            raise InputError(
                f"memory: {name!r} has shape {tuple(shape)} in it, found"
                f" {tuple(now[name].shape)}{hint}"
            )
    return {name: now[name] for name in shapes}


def corners(weights: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The leading part of each weight that has the shape held."""
    return {
        name: weights[name]
        if weights[name].shape == shape
        else weights[name][tuple(map(slice, shape))]
        for name, shape in shapes.items()
    }


def _longer(now: torch.Size, before: torch.Size) -> bool:
    return len(now) == len(before) and all(a >= b for a, b in zip(now, before, strict=True))


def _refuse(names: set[str], what: str, known: Mapping[str, object], *, hint: bool = False) -> None:
    if not names:
        return
    listed = ", ".join(sorted(names)[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    end = nearest(min(names), known)
    if hint:
        end = "; grown=True leaves what is new free, parameters= says which weights are meant"
    raise InputError(
        f"memory: the model's weights changed since the last task: {what}: {listed}{more}{end}"
    )
