"""Gradient noise on a lattice of simplices."""

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.landscape.noise._lattice import LatticeNoise


class Simplex(LatticeNoise):
    """Periodic simplex-like noise: ``f(x) = 32 sum_c (1/2 - |r_c|^2)_+^4 <g_c, r_c>``.

    The d + 1 corners are those of the simplex of the cubic lattice that holds x (found by sorting
    the fractional parts), and ``r_c = M (x - c)`` with ``M = I - s 11'``,
    ``s = (1 - 1 / sqrt(d + 1)) / d``, maps the lattice to one of regular simplices, in which a
    kernel is 0 before it leaves its simplices. So a point costs d + 1 corners where Perlin's costs
    2^d, and the field has the period of the lattice, whose axes are its coordinates here. Perlin,
    Noise hardware, SIGGRAPH 2001; Gustavson, Simplex noise demystified, 2005.

    Args:
        layers: how many independent fields, K.
        dimension: d, from 1 to 16.
        cells: of the lattice along each axis, at least 2; also the period.
        seed: fields of one seed are the same in every process; layer k is the same for every K.

    Raises:
        InputError: no layers, a dimension out of range, or a lattice of one cell.
    """

    name = "simplex"

    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """The d + 1 corners of the simplex that holds each point."""
        d = self.dimension
        corner = points.floor()
        part = points - corner
        # walked from the near corner to the far one, axes with the largest fractional part first
        axes = part.argsort(dim=-1, descending=True)
        unit = torch.eye(d, dtype=torch.long)[axes]
        walk = torch.cat([torch.zeros_like(unit[:, :, :1]), unit.cumsum(2)], 2)
        vectors = self.corner_vectors(corner.long()[:, :, None] + walk).to(points.dtype)
        apart = _unskewed(part[:, :, None] - walk)
        # 1/2 is the squared distance from a corner to where its simplices end (Gustavson 2005): a
        # larger kernel would be cut off there, and the field would jump
        room = (0.5 - apart.square().sum(-1)).clamp_min(0.0)
        height = (vectors * apart).sum(-1)
        value = 32 * (room**4 * height).sum(-1)
        # the product rule: (1/2 - r^2)^4 has the slope -8 (1/2 - r^2)^3 r
        slope = (room**4)[..., None] * vectors - (8 * room**3 * height)[..., None] * apart
        return value, _unskewed(32 * slope.sum(2))  # M is symmetric

    def numbers_a_point(self) -> int:
        """The corners of one simplex, with the tables that find them."""
        return 8 * (self.dimension + 1) * self.dimension


def _unskewed(vectors: Tensor) -> Tensor:
    """``M v`` along the last axis."""
    d = vectors.shape[-1]
    share = (1 - (d + 1) ** -0.5) / d
    return vectors - share * vectors.sum(-1, keepdim=True)
