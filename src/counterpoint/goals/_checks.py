"""What every likelihood asks of outputs, targets and weights, and the shapes it puts out."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from counterpoint.errors import InputError


def readable(*tensors: Tensor) -> bool:
    """Whether values may be looked at: never where that would stall a device or break a graph.

    False for a tensor on an accelerator and while torch.compile traces; empty tensors have no
    values to look at.
    """
    return not torch.compiler.is_compiling() and all(
        tensor.device.type == "cpu" and tensor.numel() > 0 for tensor in tensors
    )


def check_output(name: str, output: Shaped[Tensor, "..."]) -> None:
    """Refuse network outputs that are not floating point or have no rows.

    Raises:
        InputError: names the likelihood, the rule and what was found.
    """
    if not output.is_floating_point():
        raise InputError(f"{name} likelihood: output must be floating point, found {output.dtype}")
    if output.ndim == 0 or output.shape[0] == 0:
        raise InputError(
            f"{name} likelihood: output must have at least one row, "
            f"found shape {tuple(output.shape)}"
        )


def check_same_shape(
    name: str, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."]
) -> Shaped[Tensor, "..."]:
    """The target in the output's shape: equal, or equal but for a missing last axis of one.

    Broadcasting ``(batch, 1)`` against ``(batch,)`` would compare every row with every other, so
    nothing else is stretched.

    Raises:
        InputError: names both shapes.
    """
    if target.shape == output.shape:
        return target
    # said of both and not by squeezing: one row alone would lose its axis of rows
    if (*target.shape, 1) == tuple(output.shape) or tuple(target.shape) == (*output.shape, 1):
        return target.reshape(output.shape)
    raise InputError(
        f"{name} likelihood: target must have the output's shape {tuple(output.shape)}, "
        f"found {tuple(target.shape)}"
    )


def check_range(
    what: str, values: Shaped[Tensor, "..."], low: float = -math.inf, high: float = math.inf
) -> None:
    """Refuse values that are not finite or lie outside ``[low, high]``.

    Raises:
        InputError: names the rule, the first offending row and its value.
    """
    if not values.numel():
        return
    # One pass over the values in the common case; NaN propagates through both ends.
    least, most = (bound.item() for bound in torch.aminmax(values))
    if math.isfinite(least) and math.isfinite(most) and low <= least and most <= high:
        return
    wrong = ~values.isfinite() | (values < low) | (values > high)
    where = tuple(wrong.nonzero()[0].tolist())
    raise InputError(
        f"{what} must be {_rule(low, high)}, found {values[where].item():g} in row {where[0]}"
    )


def checked_counts(
    name: str, output: Shaped[Tensor, "..."], target: Shaped[Tensor, "..."], *, validate: bool
) -> Shaped[Tensor, "..."]:
    """Counts in the output's shape.

    Raises:
        InputError: another shape or type, or, where values may be looked at, one that is no count.
    """
    check_output(name, output)
    target = check_same_shape(name, output, target)
    # true and false are refused, too: who has those wants a Bernoulli
    if target.is_complex() or target.dtype == torch.bool:
        raise InputError(f"{name} likelihood: target must be a count, found {target.dtype}")
    if validate and readable(target):
        check_range(f"{name} likelihood: target", target, low=0.0)
    return target


def as_rows(each: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
    """Sum everything but the rows: the outputs of one row are independent given the network."""
    return each if each.ndim == 1 else each.flatten(1).sum(1)


def as_columns(each: Float[Tensor, "batch ..."]) -> Float[Tensor, "columns batch ..."]:
    """A column for each output of a row, zero but for that output: roots of diagonal matrices.

    >>> as_columns(torch.tensor([[2.0, 3.0]])).tolist()
    [[[2.0, 0.0]], [[0.0, 3.0]]]
    """
    if each.ndim == 1:
        return each.unsqueeze(0)
    flat = each.flatten(1)
    return flat.diag_embed().movedim(1, 0).reshape(flat.shape[1], *each.shape)


def as_floats(output: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """The output in float32 or better: half precision loses too many digits."""
    return output.to(torch.promote_types(output.dtype, torch.float32))


def _rule(low: float, high: float) -> str:
    if math.isfinite(high):
        return f"between {low:g} and {high:g}"
    return "finite" if math.isinf(low) else f"finite and at least {low:g}"
