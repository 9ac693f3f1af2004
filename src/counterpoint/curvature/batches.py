"""What a batch holds: inputs, targets and row weights, however the user's loader spells them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.errors import InputError

__all__ = ["Batch", "Unpack", "as_batch", "slice_rows", "unpack"]

_TARGETS = ("y", "target", "labels")


@dataclass(frozen=True)
class Batch:
    """One batch, read.

    Attributes:
        inputs: positional arguments of the model.
        named: keyword arguments of the model.
        target: what was observed: one tensor, or one a head; none where it is not known.
        weight: how much each row counts, as repetition; none means once.
        rows: examples in the batch: the first dimension of its first tensor.
    """

    inputs: tuple[Any, ...]
    named: Mapping[str, Any]
    target: Tensor | Mapping[str, Tensor] | None
    weight: Float[Tensor, " rows"] | None
    rows: int

    @classmethod
    def of(
        cls,
        *inputs: Any,
        target: Tensor | Mapping[str, Tensor] | None = None,
        weight: Tensor | None = None,
        **named: Any,
    ) -> "Batch":
        """A batch from what the model is called with.

        Raises:
            InputError: no tensor among the inputs, no rows, or targets or weights of other lengths.
        """
        rows = _rows([*inputs, *named.values()])
        targets = target if isinstance(target, Mapping) else {"target": target}
        for name, value in {**targets, "weight": weight}.items():
            if value is not None and (value.ndim == 0 or value.shape[0] != rows):
                raise InputError(
                    f"batch: {name!r} must have {rows} rows like the inputs, "
                    f"found shape {tuple(value.shape)}"
                )
        return cls(inputs, named, target, _checked(weight), rows)

    def call(self, model: nn.Module) -> Any:
        """The model's output."""
        return model(*self.inputs, **self.named)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return self._map(lambda value: value.to(device))

    def part(self, rows: slice) -> "Batch":
        """Some of the rows; tensors whose first dimension is not the rows go along whole."""
        count = len(range(*rows.indices(self.rows)))
        part = self._map(lambda value: slice_rows(value, self.rows, rows))
        return Batch(part.inputs, part.named, part.target, part.weight, count)

    def parts(self, rows: int) -> "list[Batch]":
        """The batch in parts of at most some rows."""
        if rows >= self.rows:
            return [self]
        return [self.part(slice(at, at + rows)) for at in range(0, self.rows, rows)]

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        def each(value: Any) -> Any:
            return change(value) if isinstance(value, Tensor) else value

        if isinstance(self.target, Mapping):
            target: Any = {name: change(value) for name, value in self.target.items()}
        else:
            target = each(self.target)
        return Batch(
            tuple(each(value) for value in self.inputs),
            {name: each(value) for name, value in self.named.items()},
            target,
            each(self.weight),
            self.rows,
        )


Unpack: TypeAlias = Callable[[Any], Batch]
"""Reads what a loader yields."""


def unpack(batch: Any, heads: Sequence[str] = ()) -> Batch:
    """Read the usual spellings of a batch.

    - a tensor: inputs alone;
    - a sequence ``(x,)``, ``(x, y)`` or ``(x, y, weight)``;
    - a mapping: the target under ``"y"``, ``"target"`` or ``"labels"`` (or one entry a head, under
      the head's name), row weights under ``"weight"``, an ``"x"`` as the first argument of the
      model, and everything else as its keyword arguments.

    Args:
        batch: what a loader yields.
        heads: names of the model's heads, where it has several.

    Raises:
        InputError: none of these; pass ``unpack=`` a function that returns ``Batch.of(...)``.

    >>> unpack((torch.zeros(3, 2), torch.zeros(3))).rows
    3
    """
    if isinstance(batch, Tensor):
        return Batch.of(batch)
    if isinstance(batch, Batch):
        return batch
    if isinstance(batch, Mapping):
        return _from_mapping(batch, heads)
    if isinstance(batch, Sequence) and 1 <= len(batch) <= 3:
        target, weight = (*batch[1:], None, None)[:2]
        return Batch.of(batch[0], target=target, weight=weight)
    size = f" of {len(batch)} parts" if isinstance(batch, Sequence) else ""
    raise InputError(
        "batch: expected (x, y), (x, y, weight) or a mapping, found a "
        f"{type(batch).__name__}{size}; pass unpack= a function that returns Batch.of(...)"
    )


def as_batch(found: Any, reader: Unpack | None, heads: Sequence[str]) -> Batch:
    """A batch by the user's reader, or by `unpack`."""
    return unpack(found, heads) if reader is None else reader(found)


def slice_rows(value: Tensor, rows: int, part: slice) -> Tensor:
    """Part of a tensor whose first dimension is the rows; any other tensor as it is."""
    return value[part] if value.ndim and value.shape[0] == rows else value


def _from_mapping(batch: Mapping[str, Any], heads: Sequence[str]) -> Batch:
    rest = dict(batch)
    weight = rest.pop("weight", None)
    target: Any = {name: rest.pop(name) for name in heads if name in rest} or None
    for name in _TARGETS:
        if target is None and name in rest:
            target = rest.pop(name)
    first = (rest.pop("x"),) if "x" in rest else ()
    return Batch.of(*first, target=target, weight=weight, **rest)


def _rows(values: Sequence[Any]) -> int:
    for value in values:
        if isinstance(value, Tensor) and value.ndim:
            if value.shape[0] == 0:
                raise InputError("batch: expected at least one row, found none")
            return value.shape[0]
    raise InputError("batch: expected at least one tensor among the inputs, found none")


def _checked(weight: Tensor | None) -> Tensor | None:
    if weight is None:
        return None
    if weight.ndim != 1 or weight.is_complex():
        raise InputError(
            f"batch: 'weight' must be one real number a row, found shape {tuple(weight.shape)}"
        )
    if not bool((torch.isfinite(weight) & (weight >= 0)).all()):
        raise InputError("batch: 'weight' must be finite and at least 0")
    return weight.detach()
