"""The front door: whatever holds the rows, as a loader or as one pass."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from counterpoint.data._batch import Batch
from counterpoint.data._batched import Batched
from counterpoint.data._loader import Loader
from counterpoint.data._parquet import ParquetStream
from counterpoint.data._tensors import Tensors
from counterpoint.data._unpack import Unpack, as_batch
from counterpoint.errors import InputError

DataLike: TypeAlias = Loader | Batch | Iterable[Any] | Dataset[Any]
"""What `as_loader` takes: rows (tensors, arrays, a tuple or mapping of them) or batches."""


def as_loader(data: Any, unpack: Unpack | None = None) -> Loader:
    """A loader of whatever holds the rows.

    - a `Loader` (`Tensors`, `ParquetStream`, one of your own): as it is;
    - a tensor, an array, a tuple ``(x, y)`` of them, a mapping of them, a `Batch`, a
      ``TensorDataset``: all rows, in memory, of which batches are drawn by the seed;
    - a ``DataLoader``, a list of batches, any object that yields batches anew each time it is
      iterated: in its own order, see `Batched`.

    A tuple holds the columns of one set of rows, a list holds batches.

    Args:
        data: see above.
        unpack: reads what is yielded (or, of rows in memory, all of them at once); none means
            `counterpoint.data.as_batch`. What is a `Batch` already is not read again.

    Raises:
        InputError: none of these, or something that can be gone through only once.

    >>> import torch
    >>> loader = as_loader((torch.zeros(5, 2), torch.zeros(5)))
    >>> loader.rows, [batch.rows for batch in loader.batches(2)]
    (5, [2, 2, 1])
    """
    if isinstance(data, Tensors | ParquetStream | Batched):
        return data  # and their batches are read already
    if isinstance(data, Loader):
        return _Read(data, unpack)
    if isinstance(data, TensorDataset):
        return Tensors(data.tensors, unpack)
    if isinstance(data, Tensor | np.ndarray | tuple | Mapping | Batch):
        return Tensors(data, unpack)
    if hasattr(data, "to_numpy") and hasattr(data, "columns"):  # iterated, it would be its names
        raise InputError(
            f"data: a {type(data).__name__} is not taken; give a mapping from names to arrays, such"
            " as {'x': frame[inputs].to_numpy('float32'), 'y': frame[target].to_numpy('float32')},"
            " or counterpoint.table.fit_table the frame"
        )
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        hint = "wrap it in a DataLoader" if isinstance(data, Dataset) else "see as_loader"
        raise InputError(
            "data: expected rows (tensors, arrays, a tuple or mapping of them) or batches (a"
            f" DataLoader, a list, a Loader), found a {type(data).__name__}; {hint}"
        )
    return Batched(data, unpack)


def one_pass(data: DataLike, unpack: Unpack | None = None, size: int = 1024) -> Iterator[Batch]:
    """All batches once, in the stored order: what `as_loader` takes, and generators too.

    Args:
        data: rows or batches.
        unpack: reads a batch.
        size: rows a batch, where the data have no batches of their own.

    Raises:
        InputError: see `as_loader`.
    """
    if isinstance(data, Iterator):
        return (as_batch(found, unpack) for found in data)
    return as_loader(data, unpack).batches(size)


def known_rows(loader: Loader) -> int | None:
    """How many rows one pass gives, where a loader says so; none: they would have to be counted."""
    known = getattr(loader, "known_rows", None)
    return None if known is None else known()


def count_rows(loader: Loader) -> int:
    """How many rows one pass gives: what the loader knows, or counted in a pass."""
    known = known_rows(loader)
    if known is not None:
        return known
    # of `Batched`, which remembers the pass in which it counted
    counted = getattr(loader, "rows", None)
    if isinstance(counted, int):
        return counted
    return sum(batch.rows for batch in loader.batches(1024))


class _Read:
    """A loader of somebody else's, whose batches may not be read yet."""

    def __init__(self, loader: Loader, unpack: Unpack | None) -> None:
        self._loader, self._unpack = loader, unpack

    def steps(self, size: int) -> int:
        return self._loader.steps(size)

    def known_rows(self) -> int | None:
        return known_rows(self._loader)

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        for found in self._loader.batches(size, seed=seed, start=start):
            yield as_batch(found, self._unpack)
