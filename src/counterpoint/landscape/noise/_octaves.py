"""Noise over noise: each octave twice as fine as the one before."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.landscape._landscape import Landscape


class Octaves(Landscape):
    """``f(x) = sum_o gain^o n_o(2^o x)``: rougher and rougher detail on one torus.

    Musgrave, in Ebert et al., Texturing and Modeling, 1994 (fractional Brownian motion).

    Args:
        noise: makes one octave from how many cells it has and a seed, such as
            ``lambda cells, seed: Perlin(4, cells=cells, seed=seed)``.
        cells: of the coarsest octave; the period.
        octaves: how many, at least 1.
        gain: height of each octave as a share of the one before, positive.
        seed: of the coarsest octave; the next is one more.

    Raises:
        InputError: no octaves, a gain that is not positive, or what `noise` refuses.
    """

    def __init__(
        self,
        noise: Callable[[int, int], Landscape],
        *,
        cells: int = 6,
        octaves: int = 3,
        gain: float = 0.5,
        seed: int = 0,
    ) -> None:
        if octaves < 1 or not gain > 0:
            raise InputError(
                f"octaves: octaves and gain must be positive, found {octaves} and {gain}"
            )
        self.parts = [noise(cells * 2**number, seed + number) for number in range(octaves)]
        self.gain = gain
        first = self.parts[0]
        self.layers, self.dimension = first.layers, first.dimension
        self.low, self.high, self.periodic = first.low, first.high, first.periodic

    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """Octave by octave; a field twice as fine has slopes twice as steep."""
        value, slope = self.parts[0].evaluate(points)
        for number, part in enumerate(self.parts[1:], start=1):
            more, steeper = part.evaluate(points * 2**number)
            value = value + self.gain**number * more
            slope = slope + (2 * self.gain) ** number * steeper
        return value, slope

    def numbers_a_point(self) -> int:
        """As one octave, and the sum."""
        return self.parts[0].numbers_a_point() + 2 * self.dimension
