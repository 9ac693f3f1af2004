"""Where batches come from: the one interface of a source, and tensors in memory."""

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.seeding import generator

__all__ = ["Batch", "Source", "Tensors", "rows_of", "to_device"]

Batch: TypeAlias = Mapping[str, Tensor]
"""Named tensors that share their first axis: the rows."""


@runtime_checkable
class Source(Protocol):
    """Something that can be gone through in batches, in an order that only a seed decides.

    A source keeps no position: the order is a pure function of the seed, so a run that was killed
    in the middle of an epoch goes on with exactly the batch that was next.

    Attributes:
        rows: how many rows one pass gives.
    """

    rows: int

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """One pass over all rows.

        Args:
            size: rows a batch; the last batch may be shorter.
            seed: decides the order; None: the stored order.
            start: how many batches to leave out at the beginning, without the cost of making them.
        """
        ...


class Tensors:
    """Tensors in memory, on any device; a batch is one `index_select` of each.

    Args:
        tensors: name -> tensor; the first axis of all of them is the rows.

    Raises:
        InputError: no tensors, no rows, or first axes of unequal length (names the two).

    >>> source = Tensors({"x": torch.arange(5.0)})
    >>> [batch["x"].tolist() for batch in source.batches(2, start=1)]
    [[2.0, 3.0], [4.0]]
    """

    def __init__(self, tensors: Batch) -> None:
        if not tensors:
            raise InputError("tensors: expected at least one named tensor, found none")
        lengths = {name: _length(name, value) for name, value in tensors.items()}
        first, self.rows = next(iter(lengths.items()))
        for name, length in lengths.items():
            if length != self.rows:
                raise InputError(
                    f"tensors: all must have the same number of rows, found {first!r} with"
                    f" {self.rows} and {name!r} with {length}"
                )
        if self.rows == 0:
            raise InputError(f"tensors: expected at least one row, found none in {first!r}")
        self.tensors = dict(tensors)

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """One pass over all rows; see `Source`."""
        if seed is None:
            return self._slices(size, start)
        return self._selections(torch.randperm(self.rows, generator=generator(seed)), size, start)

    def _slices(self, size: int, start: int) -> Iterator[Batch]:
        for low in range(start * size, self.rows, size):
            yield {name: value[low : low + size] for name, value in self.tensors.items()}

    def _selections(self, order: Tensor, size: int, start: int) -> Iterator[Batch]:
        orders = {value.device: order.to(value.device) for value in self.tensors.values()}
        columns = [(name, value, orders[value.device]) for name, value in self.tensors.items()]
        for low in range(start * size, self.rows, size):
            yield {
                name: value.index_select(0, places[low : low + size])
                for name, value, places in columns
            }


def rows_of(batch: Batch) -> int:
    """The number of rows of a batch."""
    return next(iter(batch.values())).shape[0]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; the same object when it is there already."""
    if all(value.device == device for value in batch.values()):
        return batch
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def _length(name: str, value: Tensor) -> int:
    if value.ndim == 0:
        raise InputError(f"tensors: {name!r} must have rows as its first axis, found a scalar")
    return value.shape[0]
