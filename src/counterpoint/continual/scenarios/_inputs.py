"""What a task does to inputs that it shares with others: nothing is copied before a batch asks."""

from dataclasses import dataclass
from math import cos, radians, sin
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from counterpoint.errors import InputError


@runtime_checkable
class InputTransform(Protocol):
    """Inputs as a task sees them."""

    def __call__(self, x: Shaped[Tensor, "rows ..."]) -> Shaped[Tensor, "rows ..."]:
        """The same rows, changed."""
        ...


@dataclass(frozen=True, eq=False)
class Permuted:
    """The numbers of each row in another order, the same one for all rows.

    Attributes:
        order: for each place, where its number comes from; rows are flattened for it.
    """

    order: Int64[Tensor, " inputs"]

    def __call__(self, x: Shaped[Tensor, "rows ..."]) -> Shaped[Tensor, "rows ..."]:
        """The rows in this order, their shape kept."""
        return x.flatten(1)[:, self.order.to(x.device)].view_as(x)


@dataclass(frozen=True)
class Rotated:
    """Pictures turned about their middle, bilinear, zeros from outside.

    Attributes:
        degrees: counter-clockwise.
        shape: height and width, where rows are flat; none means that their last two axes are.
    """

    degrees: float
    shape: tuple[int, int] | None = None

    def __call__(self, x: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        """The pictures turned, their shape kept.

        Raises:
            InputError: rows are no pictures.
        """
        height, width = self.shape or x.shape[-2:]
        if x.ndim < 2 + (self.shape is None) or x[0].numel() % (height * width):
            raise InputError(
                f"rotation: expected pictures (rows, ..., height, width), found {tuple(x.shape)};"
                " for flat rows give shape=(height, width)"
            )
        flat = x.reshape(len(x), -1, height, width)
        turn, stretch = radians(self.degrees), height / width
        # the grid runs from -1 to 1 along both sides, however long they are
        matrix = torch.tensor(
            [
                [cos(turn), -sin(turn) * stretch, 0.0],
                [sin(turn) / stretch, cos(turn), 0.0],
            ]
        )
        places = matrix.to(flat).expand(len(flat), 2, 3)
        # corners are not aligned: a pixel is a square, and its middle is what is turned
        grid = affine_grid(places, list(flat.shape), align_corners=False)
        return grid_sample(flat, grid, align_corners=False).view_as(x)
