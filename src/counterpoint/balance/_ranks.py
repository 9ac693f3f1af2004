"""What several ranks must know in common, so that all decide alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
import torch.distributed as dist
from torch import Tensor

from counterpoint.errors import InputError


@dataclass(frozen=True)
class Ranks:
    """The processes that train one model together; one process where nothing is set up."""

    group: dist.ProcessGroup | None = None
    alone: bool = False  # speak to nobody, even where a default group exists

    @property
    def count(self) -> int:
        """How many; 1 without a process group."""
        if self.alone or not (dist.is_available() and dist.is_initialized()):
            return 1
        return dist.get_world_size(self.group)

    @property
    def place(self) -> int:
        """Which one this process is, from 0."""
        return 0 if self.count == 1 else dist.get_rank(self.group)

    def agree(self, names: Sequence[str], device: torch.device) -> None:
        """Refuse, on every rank alike, goals that differ between ranks in name or order."""
        if self.count == 1:
            return
        # one message of fixed length, whatever the number of goals
        text = "\0".join(names).encode()
        # six bytes: their number and its negative are exact in the int64 that travels
        mark = int.from_bytes(blake2b(text, digest_size=6).digest())
        marks = torch.tensor([mark, -mark], dtype=torch.int64, device=device)
        dist.all_reduce(marks, dist.ReduceOp.MAX, group=self.group)
        # max(mark) + max(-mark) = max - min: 0 exactly if all marks are equal
        if int(marks.sum()) != 0:
            found: list[object] = [None] * self.count
            dist.all_gather_object(found, tuple(names), group=self.group)
            raise InputError(
                f"goals: every rank must have the same goals in the same order, found"
                f" {'; '.join(f'rank {rank}: {some}' for rank, some in enumerate(found))};"
                " give an absent goal as 0 times something with a graph"
            )

    def mean(self, value: Tensor) -> Tensor:
        """The mean over the ranks, in the value's own type; not finite if one rank's is not."""
        if self.count == 1:
            return value
        # DDP takes the mean of the ranks' gradients, so a goal is the mean of the ranks' losses
        total = value.detach().clone().contiguous()
        dist.all_reduce(total, group=self.group)
        return total / self.count

    def blame(self, bad: Tensor, names: Sequence[str]) -> str:
        """Which goals are not finite where, from each rank's `bad` (K,); all call at once."""
        mine = [name for name, wrong in zip(names, bad.tolist(), strict=True) if wrong]
        if self.count == 1:
            return ", ".join(repr(name) for name in mine)
        found: list[list[str]] = [[]] * self.count
        dist.all_gather_object(found, mine, group=self.group)
        return ", ".join(
            f"{name!r} on rank {rank}" for rank, some in enumerate(found) for name in some
        )


def shard(weight: Tensor) -> Tensor:
    """This rank's own numbers of a weight that FSDP2 has spread; any other weight as it is."""
    # by its method: the class is behind an import that a torch without distributed does not have
    local = getattr(weight, "to_local", None)
    return weight if local is None else local()


def sharded(weights: Iterable[Tensor]) -> bool:
    """Whether a rank holds only a part of some of these weights."""
    return any(hasattr(weight, "to_local") for weight in weights)
