"""Tensors whose axes are goals, while goals come and go."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from counterpoint.errors import InputError

__all__ = ["Memory", "read_names", "write_names"]


class Memory:
    """What is remembered of every goal ever seen; a step sees the part of its own goals.

    Args:
        start: what to remember of so many new goals; every axis of a tensor is one of goals.
    """

    def __init__(self, start: Callable[[int], Mapping[str, Tensor]]) -> None:
        self._start = start
        self._names: list[str] = []
        self._values: dict[str, Tensor] = dict(start(0))

    def recall(self, names: Sequence[str], device: torch.device) -> dict[str, Tensor]:
        """The part of these goals, in their order; those not seen before start fresh."""
        self._meet(names)
        values = {name: value.to(device) for name, value in self._values.items()}
        if list(names) == self._names:
            return values
        places = torch.tensor([self._names.index(name) for name in names], device=device)
        return {name: _part(value, places) for name, value in values.items()}

    def keep(self, names: Sequence[str], new: Mapping[str, Tensor], sound: Tensor) -> None:
        """Remember what a step made of the part; nothing if the step was not sound.

        Args:
            names: the step's goals.
            new: what to remember of them.
            sound: bool (), not read here.
        """
        places = None
        if list(names) != self._names:
            places = torch.tensor([self._names.index(name) for name in names])
        for name, value in new.items():
            old = self._values[name].to(value.device)
            whole = value if places is None else _put(old, places.to(value.device), value)
            self._values[name] = torch.where(sound.to(value.device), whole, old)

    def state(self) -> dict[str, Tensor]:
        """Everything, as tensors on the CPU."""
        kept = {name: value.detach().cpu().clone() for name, value in self._values.items()}
        return {"names": write_names(self._names), **kept}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave.

        Raises:
            InputError: it is of another rule or source.
        """
        names = read_names(state["names"])
        expected = self._start(len(names))
        found = {name: value for name, value in state.items() if name != "names"}
        if {n: v.shape for n, v in expected.items()} != {n: v.shape for n, v in found.items()}:
            raise InputError(
                f"balancer: the state remembers {sorted(found) or 'nothing'}, this rule"
                f" {sorted(expected) or 'nothing'}; make it with the same rule"
            )
        self._names, self._values = names, found

    def _meet(self, names: Sequence[str]) -> None:
        more = [name for name in names if name not in self._names]
        if not more:
            return
        old = len(self._names)
        self._names += more
        fresh = dict(self._start(len(self._names)))
        for name, value in fresh.items():
            before = self._values[name].to(value.device)
            if before.ndim == 0:
                fresh[name] = before if old else value
            else:
                fresh[name] = _put(value, torch.arange(old), before)
        self._values = fresh


def write_names(names: Sequence[str]) -> Tensor:
    """Names as bytes, one after the other with a zero between."""
    return torch.tensor(list("\0".join(names).encode()), dtype=torch.uint8)


def read_names(tensor: Tensor) -> list[str]:
    """What `write_names` wrote."""
    text = bytes(tensor.tolist()).decode()
    return text.split("\0") if text else []


def _part(value: Tensor, places: Tensor) -> Tensor:
    for axis in range(value.ndim):
        value = value.index_select(axis, places)
    return value


def _put(whole: Tensor, places: Tensor, part: Tensor) -> Tensor:
    if part.ndim == 0:
        return part
    index = torch.meshgrid(*[places] * part.ndim, indexing="ij")
    return whole.index_put(index, part.to(whole))
