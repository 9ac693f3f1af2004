"""One number for all of many plain tensors, in one call: what a search does thousands of times."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_STRIDED = {torch.strided}
_PLAIN = {Tensor, nn.Parameter}
_WORDS = ("running_mean", "running_var", "lora_")
"""In names of tensors of which something is to be said."""

_TYPE, _SHAPE, _LAYOUT = map(attrgetter, ("dtype", "shape", "layout"))


def uniform(models: Sequence[Any], share: float) -> dict[str, Tensor] | None:
    """``(1 - λ) A + λ B`` of two state dicts; none where there is anything else to think of.

    The same bits and gradients as tensor by tensor: left to the general way are modules, wrappers
    and other names, ties, statistics, integers, and whatever has to be refused.

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
    # every question goes over all tensors inside the interpreter: as loops they would cost as
    # much as the merge itself
    if not names or not {*map(type, both)} <= _PLAIN:
        return None
    kinds, alike = {*map(_TYPE, both)}, [*map(_SHAPE, first)] == [*map(_SHAPE, second)]
    if not alike or len(kinds) > 1 or not kinds <= _FLOATS or {*map(_LAYOUT, both)} != _STRIDED:
        return None
    text = "\n".join(names)
    # two names of one tensor stay one; an empty tensor has no place of its own
    tied = len({tensor.data_ptr() for tensor in first}) < len(first)
    if tied or any(word in text for word in _WORDS):
        return None
    # as torch's own optimisers do, which have no public spelling for it either
    lerp = torch._foreach_lerp  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    return dict(zip(names, lerp(first, second, share), strict=True))
