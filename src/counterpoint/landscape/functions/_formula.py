"""A landscape out of a formula, its gradients by reverse mode."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.landscape._landscape import Landscape, checked


class Formula(Landscape):
    """Any formula in torch as a landscape.

    Args:
        formula: from points (N, d) to values (N, K), each row from its own point alone.
        dimension: d.
        layers: K.
        low, high: the box that is looked at.
        minimum: where a single layer is lowest, (d,), where that is known.

    Raises:
        InputError: no layers, or a dimension out of range.

    >>> bowl = Formula(lambda x: x.square().sum(1, keepdim=True), dimension=2)
    >>> bowl(torch.tensor([[1.0, 2.0]])).gradients.tolist()
    [[[2.0, 4.0]]]
    """

    def __init__(
        self,
        formula: Callable[[Tensor], Tensor],
        dimension: int,
        layers: int = 1,
        *,
        low: float = 0.0,
        high: float = 1.0,
        minimum: Float[Tensor, " dimension"] | None = None,
    ) -> None:
        checked("function", layers, dimension)
        self.formula, self.minimum = formula, minimum
        self.dimension, self.layers, self.low, self.high = dimension, layers, low, high

    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """One backward pass a layer, over all its points: rows do not see one another."""
        values, slopes = [], []
        for layer, own in enumerate(points):
            with torch.enable_grad():
                tracked = own.detach().requires_grad_()
                value = self.formula(tracked)[:, layer]
                (slope,) = torch.autograd.grad(value.sum(), tracked)
            values.append(value.detach())
            slopes.append(slope)
        return torch.stack(values), torch.stack(slopes)


@dataclass(frozen=True)
class Problem:
    """A function of the field as its literature states it.

    Attributes:
        landscape: the function in its usual box.
        lowest: value at `landscape.minimum`; None with several goals.
        front: points of the Pareto front in goal space, (M, K); None with one goal.
    """

    landscape: Formula
    lowest: float | None = None
    front: Float[Tensor, "points layers"] | None = None
