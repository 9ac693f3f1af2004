"""What a loader yields, read: the usual spellings of a batch, or the user's own reader."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from counterpoint.data._batch import Batch
from counterpoint.errors import InputError

Unpack: TypeAlias = Callable[[Any], Batch]
"""Reads what a loader yields."""

_TARGETS = ("y", "target", "labels")


def as_batch(found: Any, unpack: Unpack | None = None) -> Batch:
    """A batch of what a loader yields, in one of the usual spellings or one that is read.

    - a tensor: inputs alone;
    - a sequence ``(x,)`` or ``(x, y)``;
    - a mapping: the target under ``"y"``, ``"target"`` or ``"labels"``, row weights under
      ``"weight"``, an ``"x"`` as the first argument of the model, and everything else as its
      keyword arguments (where the model has several heads, a head's name is its target).

    Arrays of NumPy become tensors of the same type. Row weights are named, never guessed from a
    position: the third of three is as often a number of the row.

    Args:
        found: what a loader yields; a `Batch` is returned as it is.
        unpack: reads everything else instead.

    Raises:
        InputError: none of these; pass ``unpack=`` a function that returns ``Batch.of(...)``. Or
            the function returned something else.

    >>> as_batch((torch.zeros(3, 2), torch.zeros(3))).rows
    3
    """
    if isinstance(found, Batch):
        return found
    if unpack is None:
        return _from_spelling(found)
    batch: Any = unpack(found)
    if not isinstance(batch, Batch):
        raise InputError(
            f"unpack: expected a function that returns Batch.of(...), found a"
            f" {type(batch).__name__}"
        )
    return batch


def as_tensor(value: Any) -> Any:
    """Arrays and arrays of heads as tensors, everything else as it is."""
    if isinstance(value, np.ndarray):
        # a tensor over memory that must not be written to would be a trap
        return torch.from_numpy(value if value.flags.writeable else value.copy())
    if isinstance(value, Mapping):
        return {name: as_tensor(each) for name, each in value.items()}
    return value


def _from_spelling(found: Any) -> Batch:
    if isinstance(found, Mapping):
        return _from_mapping(found)
    if isinstance(found, Tensor | np.ndarray):
        return Batch.of(as_tensor(found))
    if isinstance(found, Sequence) and not isinstance(found, str) and 1 <= len(found) <= 2:
        return Batch.of(as_tensor(found[0]), target=as_tensor(found[1]) if found[1:] else None)
    if isinstance(found, Sequence) and len(found) == 3:
        raise InputError(
            "batch: a third part is not taken for row weights, which are named: yield a mapping"
            " {'x': x, 'y': y, 'weight': weight}, or pass unpack= a function that returns"
            " Batch.of(x, target=y, weight=weight); without it, (x, y)"
        )
    size = f" of {len(found)} parts" if isinstance(found, Sequence) else ""
    raise InputError(
        f"batch: expected (x, y) or a mapping, found a {type(found).__name__}{size};"
        " pass unpack= a function that returns Batch.of(...)"
    )


def _from_mapping(found: Mapping[str, Any]) -> Batch:
    rest = {name: as_tensor(value) for name, value in found.items()}
    weight = rest.pop("weight", None)
    spelt = next((name for name in _TARGETS if name in rest), "y")
    target = rest.pop(spelt, None)
    first = (rest.pop("x"),) if "x" in rest else ()
    return Batch.of(*first, target=target, weight=weight, named=rest, spelt=spelt)
