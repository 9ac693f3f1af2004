"""The ranks of a job of torchrun, which share one merge: each writes a range of the output."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

import torch.distributed as dist

from counterpoint.errors import InputError

_Value = TypeVar("_Value")


class MergeRanks:
    """All processes that were started together; one where there is no other.

    Use it as a context: under torchrun it makes the group that they talk in.
    """

    def __init__(self) -> None:
        self._made = False
        self.rank, self.count = 0, 1

    def __enter__(self) -> "MergeRanks":
        if not dist.is_available():
            return self
        if not dist.is_initialized() and dist.is_torchelastic_launched():
            # numbers of parts and sentences are exchanged: no device is needed
            dist.init_process_group("gloo")
            self._made = True
        if dist.is_initialized():
            self.rank, self.count = dist.get_rank(), dist.get_world_size()
        return self

    def __exit__(self, *error: object) -> None:
        if self._made:
            dist.destroy_process_group()

    @contextmanager
    def together(self) -> Generator[None]:
        """Do something in all ranks, wait for all, and refuse in all what one of them refuses.

        Raises:
            InputError: its own, or the first one's.
        """
        refusal: InputError | None = None
        try:
            yield
        except InputError as error:
            refusal = error
        said: list[str | None] = [None if refusal is None else str(refusal)]
        if self.count > 1:
            said *= self.count
            dist.all_gather_object(said, said[0])
        first = next((text for text in said if text is not None), None)
        if refusal is not None:
            raise refusal
        if first is not None:
            raise InputError(first)

    def told(self, value: list[_Value]) -> list[_Value]:
        """What the first rank says, in all ranks."""
        shared: list[list[_Value]] = [value]
        if self.count > 1:
            dist.broadcast_object_list(shared)
        return shared[0]
