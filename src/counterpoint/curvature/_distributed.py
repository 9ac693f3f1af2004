"""Sums over the ranks of a distributed run."""

from collections.abc import Sequence

import torch
import torch.distributed as dist

from counterpoint.errors import InputError
from counterpoint.gaussian import Precision, precision_from


def all_reduce(precision: Precision, group: dist.ProcessGroup | None = None) -> Precision:
    """The curvature over the data of all ranks, from each rank's own, in one message.

    What is added is what `counterpoint.gaussian.pool` adds: entries, or the sums behind Kronecker
    factors. With each example on one rank, the result is that of one process with all of them; a
    sampler that pads ranks to equal lengths counts the padding again.

    Args:
        precision: this rank's, of the same structure on every rank, not shifted or scaled.
        group: of processes; none means all.

    Raises:
        InputError: torch.distributed is not initialised.
    """
    if not distributed():
        raise InputError(
            "all_reduce: torch.distributed is not initialised; start the script with torchrun and "
            "call init_process_group, or leave all_reduce out"
        )
    tensors = precision.tensors()
    flat = torch.cat([value.detach().double().flatten() for value in tensors.values()])
    dist.all_reduce(flat, group=group)
    parts = flat.split([value.numel() for value in tensors.values()])
    summed = {
        name: part.view(value.shape).to(value.dtype)
        for (name, value), part in zip(tensors.items(), parts, strict=True)
    }
    return precision_from(precision.spec(), summed)


def distributed() -> bool:
    """Whether there are ranks to add over."""
    return dist.is_available() and dist.is_initialized()


def over_ranks(precision: Precision) -> Precision:
    """A precision added over the ranks of a distributed run; itself where there is none."""
    return all_reduce(precision) if distributed() else precision


def sum_over_ranks(numbers: Sequence[float], *, most: bool = False) -> list[float]:
    """Numbers added over the ranks (or the greatest of each), themselves where there is one.

    Args:
        numbers: of this rank.
        most: the greatest of all ranks instead of the sum.
    """
    if not distributed():
        return list(numbers)
    # from the device that the backend speaks for: NCCL sends from the GPU alone, gloo from anywhere
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    found = torch.tensor(list(numbers), dtype=torch.float64, device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX if most else dist.ReduceOp.SUM)
    return found.tolist()
