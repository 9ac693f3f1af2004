"""One number for all of many plain tensors, in one call: what a search does thousands of times."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_STATISTICS = ("running_mean", "running_var")


def uniform(models: Sequence[Any], share: float) -> dict[str, Tensor] | None:
    """``(1 - λ) A + λ B`` of two state dicts; none where there is anything else to think of.

    The same bits as tensor by tensor: left to the general way are modules, wrappers and other
    names, gradients, ties, statistics, integers, and whatever has to be refused.

    Args:
        models: two.
        share: λ.
    """
    one, two = models
    if not isinstance(one, Mapping) or not isinstance(two, Mapping) or one.keys() != two.keys():
        return None
    names, first = list(one), list(one.values())
    second = [two[name] for name in names]
    both = first + second
    if not names or not all(map(_plain, both)) or any(map(_of_statistics, names)):
        return None
    alike = [tensor.shape for tensor in first] == [tensor.shape for tensor in second]
    kinds = {(tensor.dtype, tensor.device, tensor.layout) for tensor in both}
    if not alike or len(kinds) > 1 or next(iter(kinds))[0] not in _FLOATS:
        return None
    # two names of one tensor stay one; an empty tensor has no place of its own
    if len({tensor.data_ptr() for tensor in first}) < len(first):
        return None
    # as torch's own optimisers do, which have no public spelling for it either
    lerp = torch._foreach_lerp  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    return dict(zip(names, lerp(first, second, share), strict=True))


def _plain(tensor: object) -> bool:
    return isinstance(tensor, Tensor) and not tensor.requires_grad


def _of_statistics(name: str) -> bool:
    return name.endswith(_STATISTICS) or "lora_" in name
