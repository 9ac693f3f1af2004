"""What a step is: how far a difference goes from each point along each direction."""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import InputError

__all__ = ["Step", "best", "checked_size"]


@runtime_checkable
class Step(Protocol):
    """Lengths in the units of the inputs; a frozen dataclass."""

    def lengths(self, reach: Float[Tensor, "ways rows"], order: int) -> Float[Tensor, "ways rows"]:
        """One length, of either sign, a direction and point.

        Args:
            reach: how large a point is along a direction, ``|x_d|`` for unit directions.
            order: of accuracy of the difference that asks.
        """
        ...


def best(dtype: torch.dtype, order: int) -> float:
    r"""The relative step at which rounding and truncation err alike, ``eps^(1 / (order + 1))``.

    A difference of order p errs by about ``h^p`` from its formula and by ``eps / h`` from rounding
    (Press et al., Numerical Recipes, 3rd edition 2007, section 5.7).

    >>> best(torch.float64, 1), best(torch.float64, 2) # doctest: +ELLIPSIS
    (1.49...e-08, 6.05...e-06)
    """
    return torch.finfo(dtype).eps ** (1 / (order + 1))


def checked_size(what: str, size: float | int) -> None:
    """Refuse a length that is not positive and finite.

    Raises:
        InputError: names the step and what was found.
    """
    if not (0 < size < math.inf):
        raise InputError(f"{what} must be positive and finite, found {size:g}")
