"""One pass over the examples that count, for curvature, with what their data claim checked."""

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

_LOOKED_AT = 16
"""Rows of a data set that are read several times,"""

_READS = 5
"""and how often: a change with a probability from 0.1 to 0.9 is missed once in 4,000 data sets."""

_ROWS = (torch.Tensor, np.ndarray, tuple, Mapping, TensorDataset)
"""Data whose length is one of rows or names, not of batches."""


class Examples:
    """One pass over the rows that count (see `Heads.counted`), the first at hand beforehand."""

    def __init__(
        self, data: Any, unpack: Unpack | None, heads: Heads, device: torch.device
    ) -> None:
        _refuse_random(data)
        self._heads, self._device = heads, device
        self._claimed = _length(data)
        self._shared, self._count = frozenset[int | str](), 0
        self._rest = self._counted(one_pass(data, unpack))
        first = next(self._rest, None)
        if first is None and not self._count:
            raise InputError("data: expected at least one batch, found none")
        if first is None:
            raise InputError(
                "data: at least one row of positive weight is needed, with a target that counts,"
                " found none"
            )
        self._first, self.first = first, first[1]

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        """Batches and their numbers; those without a row that counts are left out."""
        yield from chain([self._first], self._rest)
        if self._claimed is not None and self._count != self._claimed:
            raise InputError(
                f"data: claims {self._claimed} batches (its len), but yielded {self._count}; sums "
                "over it would be of other rows than it says"
            )

    def _counted(self, batches: Iterator[Batch]) -> Iterator[tuple[int, Batch]]:
        for number, found in enumerate(batches):
            batch = self._heads.read(found).to(self._device).detached()
            # what had no row an example in the first batch has none later, even if sizes agree
            # there; seen before rows are left out, which would let sizes agree by chance
            self._shared = self._shared if number else batch.sharing()
            self._count = number + 1
            batch = self._heads.counted(replace(batch, shared=batch.shared | self._shared))
            if batch is not None:
                yield number, batch


def _refuse_random(data: Any) -> None:
    """Refuse a data set that gives another value each time it is asked for the same row."""
    if not isinstance(data, DataLoader) or isinstance(data.dataset, IterableDataset):
        return
    items: Any = data.dataset
    if not hasattr(items, "__getitem__") or len(items) == 0:
        return
    # from all over: what augments some classes at random leaves others alone
    places = torch.linspace(0, len(items) - 1, min(_LOOKED_AT, len(items))).long().tolist()
    collate: Any = None if data.batch_sampler is None else data.collate_fn
    for place in places:
        # what changes a row with probability p is missed by one row with p^n + (1 - p)^n
        first = items[place]
        if not all(_same(first, items[place]) for _ in range(_READS - 1)):
            raise InputError(
                f"data: row {place} of the data set differs between two reads; it is augmented at "
                "random, so curvature would differ from run to run: pass the data set without "
                "augmentation"
            )
    if collate is None:
        return
    rows = [items[place] for place in places]
    first = collate(rows)
    if not all(_same(first, collate(rows)) for _ in range(_READS - 1)):
        raise InputError(
            "data: collate_fn makes another batch of the same rows each time; it mixes or augments "
            "at random, so curvature would differ from run to run: pass a loader without it"
        )


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray | np.generic) and isinstance(right, np.ndarray | np.generic):
        if left.dtype.kind not in "biufc":
            return bool(np.array_equal(left, right))
        left, right = torch.as_tensor(np.array(left)), torch.as_tensor(np.array(right))
    if isinstance(left, torch.Tensor):
        if not isinstance(right, torch.Tensor) or left.shape != right.shape:
            return False
        # a gap that stays a gap is the same
        return bool(((left == right) | ((left != left) & (right != right))).all())
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return not isinstance(left, float | int | str) or left == right or left != left


def _length(data: Any) -> int | None:
    """How many batches there are said to be, of data that hold batches."""
    if isinstance(data, _ROWS):
        return None
    try:
        return len(data) if isinstance(data, Sized) else None
    except TypeError:  # a loader over a stream
        return None
