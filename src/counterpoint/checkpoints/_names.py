"""From what a checkpoint holds to the state dict of a model: what is around it is taken off."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from counterpoint.checkpoints._opcodes import PickledCall
from counterpoint.checkpoints._tensor import StoredTensor
from counterpoint.errors import InputError

_KEYS = ("state_dict", "model_state_dict", "model", "app", "module")
"""Where training programs keep a model's state among others', the usual first."""

_GROUP = "model/"
_DEPTH = 3
# torch.compile, FSDP and activation checkpointing put these around a module, wherever it is
_ANYWHERE = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_FRONT = "module."  # DataParallel and DistributedDataParallel put it before all names

TensorOf = Callable[[str, Any], StoredTensor | None]


@dataclass(frozen=True)
class Unwrapped:
    """The tensors of a model's state dict, and a sentence for each thing that was taken off."""

    tensors: dict[str, StoredTensor]
    notes: tuple[str, ...] = ()


def unwrap(content: Any, where: Path, tensor_of: TensorOf) -> Unwrapped:
    """The state dict in the content of a checkpoint.

    Args:
        content: nested mappings, as a pickle describes them.
        where: for the message.
        tensor_of: gives the tensor that a value is, or none.

    Raises:
        InputError: there is no state dict (says how to save one), or more than one thing that
            could be it.
    """

    def is_tensor(value: Any) -> bool:
        try:
            return tensor_of("", value) is not None
        except InputError:
            # one of a kind that cannot be merged: refused by its name if it is in the state dict
            return True

    path, notes = state_path(content, is_tensor), list[str]()
    for key in path:
        content = content[key]
    if not isinstance(content, Mapping) or not _holds_tensors(content, tensor_of):
        raise InputError(f"{where}: {_refusal(content, path)}{which_state(content, is_tensor)}")
    if path:
        notes.append(f"{where.name}: read from {'.'.join(map(str, path))!r}")
    tensors, others = dict[str, StoredTensor](), list[str]()
    for name, value in content.items():
        tensor = tensor_of(str(name), value)
        if tensor is None:
            others.append(str(name))
        else:
            tensors[str(name)] = tensor
    if others:
        listed = ", ".join(f"{name:.40}" for name in others[:5])
        notes.append(f"{where.name}: left out what is no tensor: {listed}")
    return Unwrapped(tensors, tuple(notes))


def state_path(content: Any, is_tensor: Callable[[Any], bool]) -> list[Any]:
    """The keys that lead from what a training program saved to the model's state dict.

    A state dict holds no mappings: one of them under a usual name is what is meant, and so is the
    only one that holds tensors, whatever its name.

    Args:
        content: nested mappings.
        is_tensor: whether a value is a tensor.

    >>> state_path({"net": {"w": 1.0}, "opt": {"state": {}, "param_groups": []}, "epoch": 3},
    ...            lambda value: isinstance(value, float))
    ['net']
    """
    path = list[Any]()
    while len(path) < _DEPTH and isinstance(content, Mapping):
        key = next((key for key in _KEYS if isinstance(content.get(key), Mapping)), None)
        if key is None:
            inside = _states(content, is_tensor)
            if len(inside) != 1 or any(map(is_tensor, content.values())):
                break
            (key,) = inside
        path.append(key)
        content = content[key]
    return path


def which_state(content: Any, is_tensor: Callable[[Any], bool]) -> str:
    """What to do where several could be the state dict, for a message; empty where none could."""
    inside = _states(content, is_tensor) if isinstance(content, Mapping) else []
    if len(inside) < 2:
        return ""
    names = ", ".join(f"{key!s:.30}" for key in inside[:6])
    return f"; which of {names} is meant? take it out and save it by itself"


def _states(content: Mapping[Any, Any], is_tensor: Callable[[Any], bool]) -> list[Any]:
    return [
        key
        for key, value in content.items()
        if isinstance(value, Mapping) and any(map(is_tensor, value.values()))
    ]


def stripped(found: Unwrapped, where: Path) -> Unwrapped:
    """Names without what wrappers put before them.

    Raises:
        InputError: two names become one.
    """
    found = _of_a_run(found, where)
    short = plain_names(found.tensors, str(where))
    names = {name: plain for plain, name in short.items()}
    if all(name == plain for name, plain in names.items()):
        return found
    tensors = {plain: replace(found.tensors[name], name=plain) for plain, name in short.items()}
    first = next(name for name, plain in names.items() if name != plain)
    note = f"{where.name}: wrappers' names taken off ({first:.60} is {names[first]:.60})"
    return Unwrapped(tensors, (*found.notes, note))


def plain_names(names: Iterable[str], where: str, *, front: bool = True) -> dict[str, str]:
    """Names without what wrappers put before or within them -> the names as they are.

    Args:
        names: of one model.
        where: whose names, for the message.
        front: take off what data parallelism puts before all of them, too.

    Raises:
        InputError: two names become one.

    >>> plain_names(["module.a._orig_mod.weight", "module.b"], "model")
    {'a.weight': 'module.a._orig_mod.weight', 'b': 'module.b'}
    >>> plain_names(["module.weight", "head.weight"], "model")  # a module of that name
    {'module.weight': 'module.weight', 'head.weight': 'head.weight'}
    """
    short = {name: _ANYWHERE.sub("", name) for name in names}
    while front and short and all(name.startswith(_FRONT) for name in short.values()):
        short = {name: plain.removeprefix(_FRONT) for name, plain in short.items()}
    found = {plain: name for name, plain in short.items()}
    if len(found) < len(short):
        twice = next(plain for name, plain in short.items() if found[plain] != name)
        raise InputError(f"{where}: two tensors are {twice!r:.80} without their wrappers' names")
    return found


def _of_a_run(found: Unwrapped, where: Path) -> Unwrapped:
    """The model's tensors in a checkpoint of `counterpoint.train.fit`, where all have a group."""
    names = [name for name in found.tensors if name.startswith(_GROUP)]
    if not names or not all("/" in name for name in found.tensors):
        return found
    short = {name.removeprefix(_GROUP): found.tensors[name] for name in names}
    tensors = {name: replace(tensor, name=name) for name, tensor in short.items()}
    return Unwrapped(
        tensors, (*found.notes, f"{where.name}: a training run's; the model was taken")
    )


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key to sort names by in which layer 10 comes after layer 2.

    >>> sorted(["h.10.w", "h.2.w", "h.2.b"], key=natural)
    ['h.2.b', 'h.2.w', 'h.10.w']
    """
    parts = re.split(r"(\d+)", name)
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts)


def _holds_tensors(content: Mapping[Any, Any], tensor_of: TensorOf) -> bool:
    return any(tensor_of(str(name), value) is not None for name, value in content.items())


def _refusal(content: Any, path: list[Any]) -> str:
    whole = content
    if isinstance(content, Mapping):
        whole = next(
            (content[k] for k in _KEYS if isinstance(content.get(k), PickledCall)), content
        )
    if isinstance(whole, PickledCall):
        return (
            f"holds a pickled {whole.name:.80}, not a state dict, and to load it would run its"
            " code; save it with torch.save(model.state_dict(), file)"
        )
    inside = f" in {'.'.join(map(str, path))!r}" if path else ""
    found = type(content).__name__
    if isinstance(content, Mapping):
        found = ", ".join(f"{key!s:.30}" for key in list(content)[:6]) or "nothing"
    return f"no state dict{inside}: expected tensors by name, found {found}"
