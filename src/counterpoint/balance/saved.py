"""The state of a balancer as tensors alone, so that any checkpoint can hold it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from counterpoint.errors import InputError

__all__ = ["Saved", "join", "pack", "same_settings", "split", "unpack"]

_PLAIN = "plain"


@dataclass(frozen=True)
class Saved:
    """The parts of a state.

    Attributes:
        values: plain values, as JSON holds them.
        weigher: of the rule.
        source: of the source.
        watch: of the monitor.
        kept: what a step that does not measure uses.
    """

    values: dict[str, Any]
    weigher: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    source: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    watch: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    kept: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


_GROUPS = ("weigher", "source", "watch", "kept")


def pack(saved: Saved) -> dict[str, Tensor]:
    """One flat mapping, all of it on the CPU."""
    flat = split(saved.values)
    for group in _GROUPS:
        tensors: Mapping[str, Tensor] = getattr(saved, group)
        flat |= {f"{group}.{name}": value.detach().cpu() for name, value in tensors.items()}
    return flat


def unpack(state: Mapping[str, Tensor]) -> Saved:
    """What `pack` took apart.

    Raises:
        InputError: it is no state of a balancer.
    """
    if _PLAIN not in state:
        raise InputError(f"balancer: not a state of a balancer: no {_PLAIN!r} in it")
    parts: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
    for key, value in state.items():
        group, _, name = key.partition(".")
        if group in parts:
            parts[group][name] = value
    return Saved(join({_PLAIN: state[_PLAIN]}), **parts)


def same_settings(saved: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """See that a state goes on in a balancer like the one that it is of.

    Raises:
        InputError: names the first setting that differs.
    """
    for key in [*saved, *here]:
        if saved.get(key) != here.get(key):
            raise InputError(
                f"balancer: the state is of one with {key} = {saved.get(key, 'nothing')}, this one"
                f" has {here.get(key, 'nothing')}; make it with the same settings"
            )


def split(values: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors as they are; everything else as the bytes of one JSON text."""
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    rest = {name: value for name, value in values.items() if name not in tensors}
    return {_PLAIN: torch.tensor(list(json.dumps(rest).encode()), dtype=torch.uint8), **tensors}


def join(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What `split` took apart."""
    rest = json.loads(bytes(state[_PLAIN].tolist()).decode())
    return {**{name: value for name, value in state.items() if name != _PLAIN}, **rest}
