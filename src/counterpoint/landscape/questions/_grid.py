"""Fields of two dimensions sampled on the torus."""

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.landscape._landscape import Landscape


def grid(landscape: Landscape, per: int) -> Tensor:
    """Points on a square grid, `per` to the unit, (side^2, 2).

    Raises:
        InputError: the landscape is not a torus of two dimensions.
    """
    if landscape.dimension != 2 or not landscape.periodic:
        raise InputError(
            "landscape: this question is asked of periodic fields in 2 dimensions, "
            f"found {landscape.dimension}"
        )
    axis = torch.arange(side(landscape, per), dtype=torch.float64) / per + landscape.low
    return torch.cartesian_prod(axis, axis)


def side(landscape: Landscape, per: int) -> int:
    """Points of the grid along an axis."""
    return round(landscape.width * per)


def local_minima(fields: Tensor) -> Tensor:
    """Where a field is lower than at all eight neighbours round the torus: bool (K, side, side)."""
    lowest = torch.ones_like(fields, dtype=torch.bool)
    for up in (-1, 0, 1):
        for across in (-1, 0, 1):
            if up or across:
                lowest &= fields < fields.roll((up, across), (1, 2))
    return lowest


def near(places: Tensor, radius: int) -> Tensor:
    """Where one of `places` lies within a disc of so many grid steps: bool (K, side, side)."""
    found = torch.zeros_like(places)
    for up in range(-radius, radius + 1):
        for across in range(-radius, radius + 1):
            if up * up + across * across <= radius * radius:
                found |= places.roll((up, across), (1, 2))
    return found
