"""One pass over examples for curvature, with what their data claim checked."""

from collections.abc import Iterator, Mapping, Sized
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from counterpoint.data import Batch, Unpack, one_pass
from counterpoint.errors import InputError
from counterpoint.goals import Heads

_ROWS = (torch.Tensor, np.ndarray, tuple, Mapping, TensorDataset)
"""Data whose length is one of rows or names, not of batches."""


class Examples:
    """One pass over whatever holds the rows, the first batch at hand beforehand."""

    def __init__(
        self, data: Any, unpack: Unpack | None, heads: Heads, device: torch.device
    ) -> None:
        _refuse_random(data)
        self._heads, self._device = heads, device
        self._claimed = _length(data)
        self._rest = one_pass(data, unpack)
        self._shared = frozenset[int | str]()
        first = next(self._rest, None)
        if first is None:
            raise InputError("data: expected at least one batch, found none")
        self.first = self._read(first)

        # what had no row an example in the first batch has none later, even if sizes agree there
        self._shared = self.first.sharing()

    def __iter__(self) -> Iterator[Batch]:
        count = 0
        for batch in chain([self.first], map(self._read, self._rest)):
            count += 1
            yield batch
        if self._claimed is not None and count != self._claimed:
            raise InputError(
                f"data: claims {self._claimed} batches (its len), but yielded {count}; sums over "
                "it would be of other rows than it says"
            )

    def _read(self, found: Batch) -> Batch:
        batch = self._heads.read(found).to(self._device)
        return replace(batch, shared=batch.shared | self._shared)


def _refuse_random(data: Any) -> None:
    """Refuse a data set that gives another value each time it is asked for the same row."""
    if not isinstance(data, DataLoader) or isinstance(data.dataset, IterableDataset):
        return
    items: Any = data.dataset
    if not hasattr(items, "__getitem__") or len(items) == 0:
        return
    # one row is enough: what augments at random does so to every row
    if not _same(items[0], items[0]):
        raise InputError(
            "data: row 0 of the data set differs between two reads; it is augmented at random, so "
            "curvature would differ from run to run: pass the data set without augmentation"
        )


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and np.array_equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return not isinstance(left, float | int | str) or left == right


def _length(data: Any) -> int | None:
    """How many batches there are said to be, of data that hold batches."""
    if isinstance(data, _ROWS):
        return None
    try:
        return len(data) if isinstance(data, Sized) else None
    except TypeError:  # a loader over a stream
        return None
