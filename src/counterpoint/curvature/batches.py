"""What a batch holds: inputs, targets and row weights, however the user's loader spells them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.errors import InputError

__all__ = ["Batch", "Unpack", "as_batch", "unpack"]

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
        shared: places and names of inputs that all rows share, whatever their sizes.
        offset: place of its first row in the batch that it is part of.
    """

    inputs: tuple[Any, ...]
    named: Mapping[str, Any]
    target: Tensor | Mapping[str, Tensor] | None
    weight: Float[Tensor, " rows"] | None
    rows: int
    shared: frozenset[int | str] = frozenset()
    offset: int = 0

    @classmethod
    def of(
        cls,
        *inputs: Any,
        target: Tensor | Mapping[str, Tensor] | None = None,
        weight: Tensor | None = None,
        shared: Collection[int | str] = (),
        **named: Any,
    ) -> "Batch":
        """A batch from what the model is called with.

        Args:
            inputs: positional arguments.
            target: what was observed.
            weight: of each row.
            shared: places or names of arguments that all rows share (a mask of positions), even
                where their first dimension happens to be as long as the batch.
            named: keyword arguments.

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
        return cls(inputs, named, target, _checked(weight), rows, frozenset(shared))

    def call(self, model: nn.Module) -> Any:
        """The model's output."""
        return model(*self.inputs, **self.named)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""

        def each(value: Any) -> Any:
            return value.to(device) if isinstance(value, Tensor) else value

        return self._with({key: each(v) for key, v in self.items().items()}, each, self.rows)

    def detached(self) -> "Batch":
        """Copies of inputs that were made in inference mode, which no graph may keep."""

        def each(value: Any) -> Any:
            made = isinstance(value, Tensor) and value.is_inference()
            return value.clone() if made else value

        return self._with({key: each(v) for key, v in self.items().items()}, each, self.rows)

    def take(self, rows: slice | Tensor) -> "Batch":
        """Some of the rows; what all rows share goes along whole."""
        count = len(torch.arange(self.rows)[rows])

        def each(value: Any) -> Any:
            return value[rows] if isinstance(value, Tensor) else value

        inputs = self.items()
        taken = {key: each(value) if self.is_rows(key) else value for key, value in inputs.items()}
        start = rows.indices(self.rows)[0] if isinstance(rows, slice) else 0
        # a part may be as long as something that all rows share
        part = self._with(taken, each, count)
        return replace(part, offset=self.offset + start, shared=self.sharing())

    def parts(self, rows: int) -> "list[Batch]":
        """The batch in parts of at most some rows."""
        if rows >= self.rows:
            return [self]
        return [self.take(slice(at, at + rows)) for at in range(0, self.rows, rows)]

    def items(self) -> dict[int | str, Any]:
        """All inputs by place or name."""
        return {**dict(enumerate(self.inputs)), **self.named}

    def is_rows(self, key: int | str) -> bool:
        """Whether an input has a row an example."""
        value = self.items()[key]
        return (
            isinstance(value, Tensor) and value.shape[:1] == (self.rows,) and key not in self.shared
        )

    def sharing(self) -> frozenset[int | str]:
        """Inputs that all rows share, as far as sizes tell."""
        return frozenset(key for key in self.items() if not self.is_rows(key))

    def _with(
        self, items: Mapping[int | str, Any], each: Callable[[Any], Any], rows: int
    ) -> "Batch":
        if isinstance(self.target, Mapping):
            target: Any = {name: each(value) for name, value in self.target.items()}
        else:
            target = each(self.target)
        return replace(
            self,
            inputs=tuple(items[place] for place in range(len(self.inputs))),
            named={name: items[name] for name in self.named},
            target=target,
            weight=each(self.weight),
            rows=rows,
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
    """A batch by the user's reader, or by `unpack`; one that is read already as it is."""
    if isinstance(found, Batch):
        return found
    return unpack(found, heads) if reader is None else reader(found)


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
