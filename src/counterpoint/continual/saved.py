"""The state of a memory as tensors alone, and as a verified folder."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from counterpoint.errors import InputError

__all__ = ["KIND", "SCHEMA", "pack", "same_settings", "unpacked"]

KIND = "continual memory"
SCHEMA = 1

_PLAIN = "plain"


def pack(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU, and plain values as the bytes of one JSON text among them."""
    text = torch.tensor(list(json.dumps(values).encode()), dtype=torch.uint8)
    # copies: what is held may go on changing
    copies = {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}
    return {_PLAIN: text, **copies}


def unpacked(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `pack` put together.

    Raises:
        InputError: it is no state of a memory.
    """
    if _PLAIN not in state:
        raise InputError(f"memory: not a state of a memory: no {_PLAIN!r} in it")
    values = json.loads(bytes(state[_PLAIN].tolist()).decode())
    return values, {name: value for name, value in state.items() if name != _PLAIN}


def same_settings(saved: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """See that a state goes on in a memory like the one that it is of.

    Raises:
        InputError: names the first setting that differs.
    """
    for key in [*saved, *here]:
        if saved.get(key) != here.get(key):
            raise InputError(
                f"memory: the state is of one with {key} = {saved.get(key, 'nothing')}, this one"
                f" has {here.get(key, 'nothing')}; make it with the same settings"
            )
