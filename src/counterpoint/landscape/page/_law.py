"""How much of the plane lies in a valley of all of n layers: the law of p^n, counted."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from counterpoint.landscape._landscape import Landscape
from counterpoint.landscape.page._hills import Hills
from counterpoint.recipe import Lab

FINE = 16  # points of the grid a cell
RADIUS = 0.3  # of a valley, in cells
APART = 1.0  # what is closer to the shared minimum is not counted: there all layers agree
LARGEST = 6  # of the numbers of layers
FIELDS = 6  # over so many seeds


@dataclass(frozen=True)
class Law:
    """Shares of the plane, for n = 1 … `LARGEST`, one row a field.

    Attributes:
        common: near a minimum of each of the first n layers.
        chance: ``prod_{k <= n} p_k``, with p_k the share that is near a minimum of layer k.
    """

    common: Float[np.ndarray, "fields counts"]
    chance: Float[np.ndarray, "fields counts"]


def law(lab: Lab) -> Law:
    """Count the common valleys of layers in harmony, away from the one that they share."""
    common: list[list[float]] = []
    chance: list[list[float]] = []
    for field in range(FIELDS):
        # the seeds after the lab's own, so that its own map is one of those counted
        near = valleys(Hills(Lab(LARGEST, lab.cells, (lab.seed + field) % 2**32)))
        counted = _counted(lab.cells, near.shape[1])
        inside = near[:, counted]
        together = np.logical_and.accumulate(inside, axis=0)
        common.append(together.mean(1).tolist())
        chance.append(np.cumprod(inside.mean(1)).tolist())
    return Law(np.array(common), np.array(chance))


def sampled(hills: Landscape, fine: int = FINE) -> Float[np.ndarray, "layers side side"]:
    """Each layer on a grid over the torus; the first index runs along x, the second up."""
    side = int(hills.width) * fine
    axis = torch.arange(side, dtype=torch.float64) / fine
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    return hills(points).values.T.reshape(-1, side, side).numpy()


def valleys(hills: Landscape) -> Bool[np.ndarray, "layers side side"]:
    """Which points of the grid lie within `RADIUS` of a minimum, layer by layer."""
    reach = int(RADIUS * FINE)
    steps = range(-reach, reach + 1)
    disc = [(i, j) for i in steps for j in steps if i * i + j * j <= (RADIUS * FINE) ** 2]
    lowest = minima(sampled(hills))
    near = np.zeros_like(lowest)
    for shift in disc:
        near |= np.roll(lowest, shift, (1, 2))
    return near


def minima(values: Float[np.ndarray, "layers side side"]) -> Bool[np.ndarray, "layers side side"]:
    """Points that are lower than their eight neighbours."""
    around = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    found = np.ones(values.shape, dtype=bool)
    for shift in around:
        found &= values < np.roll(values, shift, (1, 2))
    return found


def _counted(cells: int, side: int) -> Bool[np.ndarray, "side side"]:
    axis = np.arange(side) / FINE - cells / 2
    return np.hypot(axis[:, None], axis) > APART
