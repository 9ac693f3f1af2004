"""Batches out of whatever holds them, with their claims checked."""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from counterpoint.curvature.batches import Batch, Unpack, as_batch
from counterpoint.errors import InputError

__all__ = ["Source"]


class Source:
    """The batches of a loader, a list, a generator: one pass, the first at hand beforehand.

    Args:
        data: what is iterated, once.
        reader: how a batch is read; none means `counterpoint.curvature.unpack`.
        heads: names of the model's heads.
        device: where batches go.

    Raises:
        InputError: no batch, or data that are random.
    """

    def __init__(
        self,
        data: Iterable[Any],
        reader: Unpack | None,
        heads: tuple[str, ...],
        device: torch.device,
    ) -> None:
        if isinstance(data, torch.Tensor | str | dict) or not hasattr(data, "__iter__"):
            raise InputError(
                f"data: expected batches, found a {type(data).__name__}; for one batch pass a "
                "list of it: [(x, y)]"
            )
        _refuse_random(data)
        self._reader, self._heads, self._device = reader, heads, device
        self._claimed = _length(data)
        self._rest = iter(data)
        self._shared = frozenset[int | str]()
        try:
            self.first = self._read(next(self._rest))
        except StopIteration:
            raise InputError("data: expected at least one batch, found none") from None

        # what had no row an example in the first batch has none later, even if sizes agree there
        self._shared = self.first.sharing()

    def __iter__(self) -> Iterator[Batch]:
        count = 0
        for batch in chain([self.first], (self._read(found) for found in self._rest)):
            count += 1
            yield batch
        if self._claimed is not None and count != self._claimed:
            raise InputError(
                f"data: claims {self._claimed} batches (its len), but yielded {count}; sums over "
                "it would be of other rows than it says"
            )

    def _read(self, found: Any) -> Batch:
        batch = as_batch(found, self._reader, self._heads).to(self._device)
        return replace(batch, shared=batch.shared | self._shared)


def _refuse_random(data: Iterable[Any]) -> None:
    """Refuse a data set that gives another value each time it is asked for the same row."""
    if not isinstance(data, DataLoader) or isinstance(data.dataset, IterableDataset):
        return
    items: Any = data.dataset
    if not hasattr(items, "__getitem__") or len(items) == 0:
        return
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


def _length(data: Iterable[Any]) -> int | None:
    """How many batches there are said to be."""
    try:
        return len(data) if isinstance(data, Sized) else None
    except TypeError:  # a loader over a stream
        return None
