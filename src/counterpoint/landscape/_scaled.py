"""Layers in other units."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.landscape._landscape import Landscape


class Scaled(Landscape):
    """``s_k L_k(x)``: the same places, other heights.

    Args:
        landscape: of K layers.
        scales: K positive numbers.

    Raises:
        InputError: not one positive number a layer.
    """

    def __init__(self, landscape: Landscape, scales: Sequence[float]) -> None:
        if len(scales) != landscape.layers or not all(scale > 0 for scale in scales):
            raise InputError(
                f"scaled: expected {landscape.layers} positive scales, one a layer, "
                f"found {list(scales)}"
            )
        self.landscape = landscape
        self.layers, self.dimension = landscape.layers, landscape.dimension
        self.low, self.high, self.periodic = landscape.low, landscape.high, landscape.periodic
        self._scales = torch.tensor(scales, dtype=torch.float64)

    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """Values and gradients times the scales."""
        value, slope = self.landscape.evaluate(points)
        scales = self._scales.to(value.dtype)
        return scales[:, None] * value, scales[:, None, None] * slope

    def numbers_a_point(self) -> int:
        """As the landscape that is scaled."""
        return self.landscape.numbers_a_point()
