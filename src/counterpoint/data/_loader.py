"""The one interface of what gives batches."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from counterpoint.data._batch import Batch


@runtime_checkable
class Loader(Protocol):
    """Something that can be gone through in batches, in an order that only a seed decides.

    A loader keeps no position: the order is a pure function of the seed, so a run that was killed
    in the middle of an epoch goes on with exactly the batch that was next.

    It may say more: ``known_rows() -> int | None``, the rows of a pass where that costs nothing,
    and ``fingerprint() -> str | None``, by which a run that is taken up notices other data.
    """

    # Methods alone: to ask an object whether it is a loader must not count its rows, and Python
    # 3.11 reads every attribute that a protocol names.
    def steps(self, size: int) -> int:
        """How many batches one pass gives."""
        ...

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """One pass over all rows.

        Args:
            size: rows a batch; the last batch may be shorter.
            seed: decides the order; None: the stored order.
            start: how many batches to leave out at the beginning, without the cost of making them
                where that is possible.
        """
        ...
