"""Between named tensors and one flat vector."""

from collections.abc import Mapping

import torch
from jaxtyping import Shaped
from torch import Tensor

from counterpoint.errors import InputError


def flatten(tensors: Mapping[str, Tensor]) -> Shaped[Tensor, " total"]:
    """All entries as one vector, in the mapping's order.

    >>> flatten({"a": torch.zeros(2, 2), "b": torch.ones(1)})
    tensor([0., 0., 0., 0., 1.])
    """
    if not tensors:
        return torch.zeros(0)
    return torch.cat([value.reshape(-1) for value in tensors.values()])


def unflatten(flat: Shaped[Tensor, " total"], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Views of a vector with the names and shapes of `like`.

    Raises:
        InputError: the vector's length is not the total number of entries.
    """
    sizes = [value.numel() for value in like.values()]
    if flat.numel() != sum(sizes):
        raise InputError(f"a flat vector of {sum(sizes)} entries is expected, found {flat.numel()}")
    parts = flat.split(sizes)
    return {
        name: part.view_as(value) for (name, value), part in zip(like.items(), parts, strict=True)
    }
