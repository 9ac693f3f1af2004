"""Batches that somebody else makes, in an order of their own: a `DataLoader`, a list, an object."""

from collections.abc import Iterable, Iterator, Sized
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader

from counterpoint.data._batch import Batch
from counterpoint.data._fingerprint import fingerprint, of_data_set
from counterpoint.data._unpack import Unpack, as_batch
from counterpoint.errors import InputError
from counterpoint.seeding import generator

_END = object()


class Batched:
    """Batches as an iterable makes them, as many times as it is asked to.

    The iterable decides the order and the size of batches. What it draws from torch's global
    generator while it makes them (`DataLoader(shuffle=True)`, augmentation, the seeds of workers)
    comes from a stream of its own that only the seed decides, and the caller's random state is as
    it was. So a run that was killed goes on to the same bits as far as the iterable is a function
    of that generator: not with a `generator=` of its own, with NumPy's or Python's randomness in
    the main process, or with data that change. To start at a later batch those before it are made
    and thrown away.

    Args:
        data: gives batches anew each time it is iterated.
        unpack: reads a batch; none means `counterpoint.data.as_batch`.

    Raises:
        InputError: it can be iterated only once.

    >>> loader = Batched([torch.zeros(3, 2), torch.ones(1, 2)])
    >>> loader.rows, loader.steps(100), [batch.rows for batch in loader.batches(100)]
    (4, 2, [3, 1])
    """

    def __init__(self, data: Iterable[Any], unpack: Unpack | None = None) -> None:
        if isinstance(data, Iterator):
            raise InputError(
                f"data: a {type(data).__name__} can be gone through once, and an epoch is a pass of"
                " its own; give a list of it, a DataLoader, or an object whose __iter__ begins anew"
            )
        # a list is in memory: its batches are read once, not every epoch
        self._data = [as_batch(found, unpack) for found in data] if isinstance(data, list) else data
        self._unpack = unpack
        if self._length == 0:
            raise InputError("data: expected at least one batch, found none")

    @property
    def rows(self) -> int:
        """How many rows one pass gives: counted in a pass."""
        return self._counted[1]

    def known_rows(self) -> int | None:
        """Not known: they would have to be counted."""
        return None

    def fingerprint(self) -> str | None:
        """What tells these rows from others of as many batches, where that is in memory."""
        if isinstance(self._data, list):
            tensors = [tensor for batch in self._data for tensor in batch.tensors()]
            return fingerprint((str(number), value) for number, value in enumerate(tensors))
        return of_data_set(getattr(self._data, "dataset", None))

    def steps(self, size: int) -> int:
        """How many batches one pass gives: its ``len``, or counted in a pass where it has none."""
        del size
        return self._length or self._counted[0]

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """One pass over all batches, of their own size; see `Loader`."""
        del size
        passed = iter(self._data) if seed is None else _apart(self._data, seed)
        for found in islice(passed, start, None):
            yield self._read(found)

    def _read(self, found: Any) -> Batch:
        try:
            return as_batch(found, self._unpack)
        except InputError as error:
            # a data set whose items are batches is read so, too, and rightly
            if isinstance(self._data, DataLoader) and self._data.batch_sampler is None:
                raise InputError(
                    f"{error}; this DataLoader has batch_size=None, so that each item of its data"
                    " set is taken for a batch: give it a batch_size"
                ) from None
            raise

    @cached_property
    def _length(self) -> int | None:
        try:
            return len(self._data) if isinstance(self._data, Sized) else None
        except TypeError:  # a loader over a stream has the method and no answer
            return None

    @cached_property
    def _counted(self) -> tuple[int, int]:
        """Batches and rows of one pass."""
        rows = [batch.rows for batch in self.batches(0, seed=0)]
        if not rows:
            raise InputError("data: expected at least one batch, found none")
        return len(rows), sum(rows)


def _apart(data: Iterable[Any], seed: int) -> Iterator[Any]:
    """A pass whose draws from torch's global generator are of a stream that only the seed names.

    The state is exchanged around every batch, not once around the pass: between two batches the
    model draws its dropout masks, and neither may move the other's stream.
    """
    own, rest = generator(seed).get_state(), None
    while True:
        outer = torch.get_rng_state()
        torch.set_rng_state(own)
        try:
            rest = iter(data) if rest is None else rest
            found = next(rest, _END)
        finally:
            own = torch.get_rng_state()
            torch.set_rng_state(outer)
        if found is _END:
            return
        yield found
