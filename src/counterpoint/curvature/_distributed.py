"""One sum over the ranks of a distributed run."""

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
    if not dist.is_available() or not dist.is_initialized():
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
