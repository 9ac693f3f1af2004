"""Random gradients at the corners of a periodic lattice."""

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.landscape._landscape import Landscape, checked
from counterpoint.landscape.noise._hash import directions, mixed

_TABLE = 1 << 16  # vectors held a layer; larger lattices draw theirs from so many by a hash


class LatticeNoise(Landscape):
    """What noise on a lattice shares: a unit vector for each corner of each layer, found fast.

    Args:
        layers: how many independent fields, K.
        dimension: d.
        cells: of the lattice along each axis, at least 2; the period of the field, whose unit of
            length is one cell.
        seed: fields of one seed are the same in every process; layer k is the same for every K.

    Raises:
        InputError: no layers, a dimension out of range, or a lattice of one cell.
    """

    name = "noise"

    def __init__(
        self, layers: int = 1, dimension: int = 2, *, cells: int = 6, seed: int = 0
    ) -> None:
        checked(self.name, layers, dimension)
        if cells < 2:
            raise InputError(
                f"{self.name}: a lattice needs at least 2 cells along an axis, found {cells}"
            )
        self.layers, self.dimension, self.cells, self.seed = layers, dimension, cells, seed
        self.low, self.high, self.periodic = 0.0, float(cells), True
        self._whole = cells**dimension <= _TABLE
        rows = torch.arange(cells**dimension if self._whole else _TABLE)
        # a root depends on seed and layer alone: how many layers there are changes none
        roots = mixed(mixed(0, seed & 0xFFFFFFFF), torch.arange(layers))
        self._vectors = directions(mixed(roots[:, None], rows), dimension)

    def corner_vectors(self, corners: Tensor) -> Tensor:
        """The unit vectors at corners, from int64 (K, ..., d) to (K, ..., d)."""
        wrapped = corners.remainder(self.cells)
        row = torch.zeros_like(wrapped[..., 0])
        for axis in range(self.dimension):
            coordinate = wrapped[..., axis]
            row = row * self.cells + coordinate if self._whole else mixed(row, coordinate)
        # the whole lattice has a row a corner; a larger one shares rows, and hashes hide it
        rows = row.remainder(self._vectors.shape[1]).flatten(1)
        layer = torch.arange(self.layers)[:, None]
        return self._vectors[layer, rows].unflatten(1, corners.shape[1:-1])
