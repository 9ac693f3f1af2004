"""A smooth random field: a sum of waves that fit the torus."""

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.landscape._landscape import Landscape, checked
from counterpoint.landscape.noise._hash import directions, mixed, uniforms


class Waves(Landscape):
    """A nearly Gaussian random field: ``f(x) = sqrt(2 / M) sum_m cos(2 pi <k_m, x> / P + phi_m)``.

    The integer wave vectors k are drawn normally, then rounded so that every wave fits the torus;
    correlations fall like ``exp(-|x - y|^2 / (2 l^2))``, the variance is 1. Infinitely smooth, at a
    cost of M d a point in any dimension. Rahimi and Recht, Random Features, NeurIPS 2007, eq. 1.

    Args:
        layers: how many independent fields, K.
        dimension: d, from 1 to 16.
        cells: the period P.
        length: the correlation length l, in the unit of P.
        waves: M, how many waves a layer.
        seed: fields of one seed are the same in every process; layer k is the same for every K.

    Raises:
        InputError: no layers or waves, a dimension out of range, or a period or length that is
            not positive.
    """

    def __init__(
        self,
        layers: int = 1,
        dimension: int = 2,
        *,
        cells: float = 6,
        length: float = 0.4,
        waves: int = 256,
        seed: int = 0,
    ) -> None:
        checked("waves", layers, dimension)
        if not (cells > 0 and length > 0 and waves > 0):
            raise InputError(
                "waves: cells, length and waves must be positive, "
                f"found {cells}, {length} and {waves}"
            )
        self.layers, self.dimension = layers, dimension
        self.low, self.high, self.periodic = 0.0, float(cells), True
        root = mixed(mixed(1, seed & 0xFFFFFFFF), torch.arange(layers))
        words = mixed(root[:, None], torch.arange(waves))
        axes = mixed(words[..., None], torch.arange(101, 101 + dimension))
        normal = torch.erfinv(2 * uniforms(axes) - 1) * 2**0.5  # the normal quantile of a uniform
        # the spectrum of exp(-r^2 / 2 l^2) is normal, of deviation 1 / (2 pi l) waves a unit
        spread = cells / (2 * torch.pi * length)
        still = (normal * spread).round()
        # a wave that rounds to 0 is a constant: it becomes one of length P along a random axis
        flat = still.abs().sum(-1) == 0
        axis = directions(words, dimension).abs().argmax(-1)
        still[flat] = torch.eye(dimension, dtype=still.dtype)[axis[flat]]
        self._waves = still * (2 * torch.pi / cells)
        self._phases = 2 * torch.pi * uniforms(mixed(words, 100))

    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """All waves at all points."""
        waves = self._waves.to(points.dtype)
        angle = points @ waves.transpose(1, 2) + self._phases.to(points.dtype)[:, None]
        size = (2 / waves.shape[1]) ** 0.5
        return size * angle.cos().sum(-1), -size * angle.sin() @ waves

    def numbers_a_point(self) -> int:
        """An angle a wave, its sine and its cosine."""
        return 3 * self._waves.shape[1]
