"""Prior precisions of named weights: one for all, one a layer, or one a weight."""

import math
from collections.abc import Mapping
from typing import TypeAlias

import torch
from jaxtyping import Float64
from torch import Tensor

from counterpoint.errors import InputError, nearest, one_of

Prior: TypeAlias = float | int | Tensor | Mapping[str, float | Tensor]
"""A precision for all weights, or name -> a precision, or a tensor of the weight's shape."""

Each: TypeAlias = str
"""How many precisions the evidence chooses: one, one a layer, one a weight."""

EACH = ("model", "layer", "weight")


def given(prior: Prior, shapes: Mapping[str, torch.Size]) -> dict[str, Float64[Tensor, "..."]]:
    """A prior as name -> precision, once checked.

    Raises:
        InputError: unknown or missing names, shapes that do not broadcast, or a precision that is
            not positive and finite.
    """
    if not isinstance(prior, Mapping):
        prior = dict.fromkeys(shapes, prior)
    for name in prior:
        if name not in shapes:
            raise InputError(f"prior: no parameter {name!r}{nearest(name, shapes)}")
    missing = [name for name in shapes if name not in prior]
    if missing:
        raise InputError(f"prior: no precision for the parameter {missing[0]!r}")
    return {name: _one(name, prior[name], shape) for name, shape in shapes.items()}


def groups(each: Each, shapes: Mapping[str, torch.Size]) -> list[list[str]]:
    """Names that share a precision: all, or those of one module.

    Raises:
        InputError: an unknown `each`.
    """
    if one_of("each", each, EACH) == "model":
        return [list(shapes)]
    modules = dict[str, list[str]]()
    for name in shapes:
        modules.setdefault(name.rpartition(".")[0], []).append(name)
    return list(modules.values())


def spread(precision: Tensor, weight: Tensor) -> Tensor:
    """A precision for each weight of a tensor, in its type."""
    return precision.detach().to(weight).expand(weight.shape).contiguous()


def log_density(mean: Mapping[str, Tensor], prior: Mapping[str, Tensor]) -> Float64[Tensor, ""]:
    """``Σ ½ log α − ½ α θ²`` over all weights: the log prior without ``log 2π``."""
    total = torch.zeros((), dtype=torch.float64)
    # float64: a million logarithms are added, and evidences differ in the last digits
    for name, value in mean.items():
        alpha = prior[name].double().expand(value.shape)
        total = total + (alpha.log() - alpha * value.double().square()).sum().cpu() / 2
    return total


def _one(name: str, value: float | Tensor, shape: torch.Size) -> Tensor:
    tensor = torch.as_tensor(value, dtype=torch.float64)
    try:
        tensor.expand(shape)
    except RuntimeError:
        raise InputError(
            f"prior: the precision of {name!r} must be one number or of shape {tuple(shape)}, "
            f"found {tuple(tensor.shape)}"
        ) from None
    low = float(tensor.detach().min())
    if not (low > 0 and math.isfinite(float(tensor.detach().max()))):
        raise InputError(
            f"prior: precisions must be positive and finite, found {low:g} at {name!r}"
        )
    return tensor
