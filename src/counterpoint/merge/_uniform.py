"""Numbers for many plain tensors, in one call: what a search does thousands of times."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, nn

from counterpoint.checkpoints import plain_names
from counterpoint.merge._entries import TensorEntry
from counterpoint.merge._layers import tabulate
from counterpoint.merge._plan import MergePlan, Weights
from counterpoint.merge._schedules import Jump, Ramp

_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_STRIDED = {torch.strided}
_PLAIN = {Tensor, nn.Parameter}
_WORDS = ("running_mean", "running_var", "lora_")
"""In names of tensors of which something is to be said."""

_TYPE, _SHAPE, _LAYOUT = map(attrgetter, ("dtype", "shape", "layout"))
_SETTLED = (float, int, Ramp, Jump)
"""What is a key as it is: a schedule of another class may change what it says."""


def uniform(models: Sequence[Any], weights: Weights, *, first: bool) -> dict[str, Tensor] | None:
    """The weighted means of two state dicts; none where there is anything else to think of.

    The same bits, gradients and refusals as tensor by tensor, which remains for what is left out:
    modules, ties, statistics, integers, weights that are tensors, and whatever has to be refused.

    Args:
        models: two.
        weights: as `MergePlan.of` takes them.
        first: whether they are shares of the first.
    """
    one, two = models
    if not isinstance(one, Mapping) or not isinstance(two, Mapping) or one.keys() != two.keys():
        return None
    rules = _settled(weights)
    names, left = list(one), list(one.values())
    right = [two[name] for name in names]
    both = left + right
    # every question goes over all tensors inside the interpreter: as loops they would cost as
    # much as the merge itself
    if rules is None or not names or not {*map(type, both)} <= _PLAIN:
        return None
    try:
        shapes = [*map(_SHAPE, left)]
        alike, kinds = shapes == [*map(_SHAPE, right)], {*map(_TYPE, both)}
        text = "\n".join(names)
    except (RuntimeError, TypeError):
        # nested tensors have no shape, and a name that is no text is refused with its own words
        return None
    if not alike or len(kinds) > 1 or not kinds <= _FLOATS or {*map(_LAYOUT, both)} != _STRIDED:
        return None
    # two names of one tensor stay one; an empty tensor has no place of its own
    tied = len({tensor.data_ptr() for tensor in left}) < len(left)
    if tied or any(word in text for word in _WORDS):
        return None
    shares = _shares(tuple(names), tuple(shapes), kinds.pop(), rules, first)
    # as torch's own optimisers do, which have no public spelling for it either
    lerp = torch._foreach_lerp  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    return dict(zip(names, lerp(left, right, shares), strict=True))


@lru_cache(maxsize=8)
def _shares(
    names: tuple[str, ...],
    shapes: tuple[tuple[int, ...], ...],
    dtype: torch.dtype,
    rules: Any,
    first: bool,
) -> float | list[float]:
    """The share of the second in each tensor; one number where it is all of them.

    Rules are read once for models that are alike: what they mean is of names and shapes alone.
    """
    plain = {name: short for short, name in plain_names(names, "merge").items()}
    entries = [
        TensorEntry(plain[name], shape, str(dtype))
        for name, shape in zip(names, shapes, strict=True)
    ]
    plan = MergePlan.of(tabulate(entries), _given(rules), inputs=2, first=first)
    shares = [float(plan.coefficients[plain[name]][1]) for name in names]
    return shares[0] if len(set(shares)) == 1 else shares


def _settled(weights: Weights) -> Any:
    """Weights as a value that can be a key, which `_given` reads; none where they are tensors."""
    if weights is None or type(weights) in _SETTLED:
        return (weights,)
    if type(weights) in (list, tuple):
        listed = cast(Sequence[Any], weights)
        parts = [_settled(each) for each in listed]
        return None if None in parts else (type(weights).__name__, *parts)
    if type(weights) is dict:
        rules = cast(dict[Any, Any], weights)
        parts = [_settled(each) for each in rules.values()]
        named = all(type(name) is str for name in rules)
        return ("dict", *zip(rules, parts, strict=True)) if named and None not in parts else None
    return None


def _given(settled: Any) -> Weights:
    """What was given, of what it was settled to."""
    kind, *parts = settled
    if kind == "dict" and parts:
        return {name: _given(part) for name, part in parts}
    if kind in ("list", "tuple") and parts:
        return (list if kind == "list" else tuple)(_given(part) for part in parts)
    return {} if kind == "dict" else [] if kind == "list" else () if kind == "tuple" else kind
