"""Tensors in memory, on any device."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from counterpoint.data._batch import Batch, check_weight_values
from counterpoint.data._fingerprint import fingerprint
from counterpoint.data._unpack import Unpack, as_batch
from counterpoint.errors import InputError
from counterpoint.seeding import generator


class Tensors:
    """Tensors in memory, on any device; a batch is one `index_select` of each.

    Args:
        data: all rows as one batch: a mapping of tensors or arrays, ``(x, y)``, or a `Batch`; the
            first axis of all of them is the rows, but of what the `Batch` says that all rows share.
        unpack: reads it; none means `counterpoint.data.as_batch`.

    Raises:
        InputError: no tensors, no rows, or first axes of unequal length (names the two).

    >>> loader = Tensors({"x": torch.arange(5.0)})
    >>> [batch["x"].tolist() for batch in loader.batches(2, start=1)]
    [[2.0, 3.0], [4.0]]
    """

    def __init__(self, data: Any, unpack: Unpack | None = None) -> None:
        if isinstance(data, Mapping) and not data:
            raise InputError("tensors: expected at least one named tensor, found none")
        # read and checked once: the batches of a pass are parts of it
        self.whole = as_batch(data, unpack)
        self.rows = self.whole.rows
        for key, value in self.whole.items().items():
            if key not in self.whole.shared:
                _check_rows(key, value, self.rows)
        # the one look at weights that lie on a device: parts of a pass are not looked at
        if self.whole.weight is not None:
            check_weight_values(self.whole.weight)

    def known_rows(self) -> int:
        """How many rows one pass gives."""
        return self.rows

    def fingerprint(self) -> str:
        """What tells these rows from others of the same number, by some of them."""
        return fingerprint((str(number), v) for number, v in enumerate(self.whole.tensors()))

    def steps(self, size: int) -> int:
        """How many batches one pass gives."""
        return -(-self.rows // size)

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """One pass over all rows; see `Loader`."""
        if seed is None:
            return self._slices(size, start)
        return self._selections(torch.randperm(self.rows, generator=generator(seed)), size, start)

    def _slices(self, size: int, start: int) -> Iterator[Batch]:
        for low in range(start * size, self.rows, size):
            yield self.whole.take(slice(low, low + size))

    def _selections(self, order: Tensor, size: int, start: int) -> Iterator[Batch]:
        orders = {value.device: order.to(value.device) for value in self.whole.tensors()}
        for low in range(start * size, self.rows, size):
            places = {device: part[low : low + size] for device, part in orders.items()}
            yield self.whole.select(
                lambda value, places=places: value.index_select(0, places[value.device]),
                min(size, self.rows - low),
            )


def _check_rows(key: int | str, value: Any, rows: int) -> None:
    name = "x" if key == 0 else key
    if not isinstance(value, Tensor):
        raise InputError(f"tensors: {name!r} must be a tensor, found a {type(value).__name__}")
    if value.ndim == 0:
        raise InputError(f"tensors: {name!r} must have rows as its first axis, found a scalar")
    if value.shape[0] != rows:
        raise InputError(
            f"tensors: all must have the same number of rows, found {rows} and {name!r} with"
            f" {value.shape[0]}; what all rows share is named by Batch.of(..., shared=[{name!r}])"
        )
