"""Gradient noise on a square lattice."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.landscape.noise._lattice import LatticeNoise


class Perlin(LatticeNoise):
    """Periodic gradient noise: between corners c, ``f(x) = sum_c W_c <g_c, x - c>``.

    ``W_c`` is the product over axes of ``u`` or ``1 - u``, with
    ``u(t) = 6 t^5 - 15 t^4 + 10 t^3``; the gradient is exact, and continuous, as is the second
    derivative. Perlin, Improving Noise, SIGGRAPH 2002. A point costs 2^d corners.

    Args:
        layers: how many independent fields, K.
        dimension: d, from 1 to 16.
        cells: of the lattice along each axis, at least 2; also the period.
        seed: fields of one seed are the same in every process; layer k is the same for every K.

    Raises:
        InputError: no layers, a dimension out of range, or a lattice of one cell.

    >>> noise = Perlin(layers=3, seed=7)
    >>> here = noise(torch.tensor([[0.3, 4.6]], dtype=torch.float64))
    >>> there = noise(torch.tensor([[6.3, -1.4]], dtype=torch.float64))  # once round
    >>> here.gradients.shape, bool((here.values - there.values).abs().max() < 1e-14)
    (torch.Size([1, 3, 2]), True)
    """

    name = "perlin"

    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """All corners at once, then blended along one axis after the other."""
        d = self.dimension
        corner = points.floor()
        part = points - corner
        offsets = torch.tensor(list(itertools.product((0, 1), repeat=d)))
        vectors = self.corner_vectors(corner.long()[:, :, None] + offsets).to(points.dtype)
        heights = (vectors * (part[:, :, None] - offsets)).sum(-1)
        # the field and its d slopes ride together; blending axis i adds u' (upper - lower) to the
        # slope along i, and the later axes blend that, too
        blended = torch.cat([heights[..., None], vectors], -1)
        for axis in range(d):
            t = part[..., axis, None, None]
            # 0 and 1 at the corners with two derivatives of 0: curvature is continuous across cells
            share = t**3 * (t * (6 * t - 15) + 10)
            lower, upper = blended.unflatten(2, (2, -1)).unbind(2)
            step = upper - lower
            blended = lower + share * step
            blended[..., 1 + axis] += (30 * t**2 * (t - 1) ** 2)[..., 0] * step[..., 0]
        return blended[:, :, 0, 0], blended[:, :, 0, 1:]

    def numbers_a_point(self) -> int:
        """All corners with their vectors, and the blends on the way."""
        return 4 * 2**self.dimension * (self.dimension + 1)
