"""One weighted mean over the rows of a batch, for terms that are a sum over rows."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.goals._checks import check_range, readable


def mean_of_rows(
    each: Float[Tensor, " batch"],
    weight: Shaped[Tensor, "..."] | None = None,
    mean_weight: float | int | str = 1.0,
    *,
    validate: bool = True,
) -> Float[Tensor, ""]:
    r"""The mean of one number a row, as in `counterpoint.goals.Likelihood.nll`.

    .. math:: \frac{1}{B \bar w} \sum_{i=1}^{B} w_i \ell_i

    where :math:`\bar w` is the mean weight of the whole data set, so that micro-batches and ranks
    combine by their share of rows; ``mean_weight="batch"`` divides by the batch's own sum.

    Args:
        each: one number a row, ``(batch,)``.
        weight: how much each row counts, ``(batch,)``, finite and not negative; None: all alike.
        mean_weight: mean weight of the whole data set, or ``"batch"``.
        validate: whether to look at the weights' values.

    Raises:
        InputError: a weight, or a mean weight, that cannot be used.

    >>> mean_of_rows(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 3.0]), 2.0)
    tensor(3.5000)
    """
    if weight is None:
        return each.mean()
    weight = checked_weight(weight, len(each), validate=validate and readable(weight))
    weight = weight.to(each.dtype)
    total = (weight * each).sum()
    if mean_weight == "batch":
        # A batch without any weight has nothing to say: 0, with zero gradient, never 0 / 0.
        mass = weight.sum()
        return total / torch.where(mass == 0, torch.ones_like(mass), mass)
    if isinstance(mean_weight, str) or not 0 < mean_weight < math.inf:
        raise InputError(f"mean_weight must be a positive number or 'batch', found {mean_weight!r}")
    return total / (each.shape[0] * mean_weight)


def checked_weight(
    weight: Shaped[Tensor, "..."], rows: int, *, name: str = "weight", validate: bool = True
) -> Shaped[Tensor, " batch"]:
    """The row weights, if there is one a row, a real number, finite and not negative.

    Args:
        weight: how much each row counts.
        rows: how many there are.
        name: of the argument, for messages.
        validate: whether to look at the values, which waits for the device that they are on.

    Raises:
        InputError: names the rule and what was found.

    >>> checked_weight(torch.tensor([1.0, -2.0]), 2)
    Traceback (most recent call last):
        ...
    counterpoint.errors.InputError: weight must be finite and at least 0, found -2 in row 1
    """
    if weight.shape != (rows,):
        raise InputError(
            f"{name} must have one value a row, shape ({rows},), found shape {tuple(weight.shape)}"
        )
    if weight.is_complex() or weight.dtype == torch.bool:
        raise InputError(f"{name} must be a real number, found {weight.dtype}")
    if validate:
        check_range(name, weight, low=0.0)
    return weight
