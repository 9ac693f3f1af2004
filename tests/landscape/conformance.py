"""Every landscape, small: what holds for one holds for all."""

from collections.abc import Callable

from counterpoint.landscape import Joined, Landscape, Scaled
from counterpoint.landscape.noise import Octaves, Perlin, Simplex, Waves

MADE: dict[str, Callable[[int, int], Landscape]] = {
    "perlin": lambda layers, d: Perlin(layers, d, cells=3, seed=5),
    "simplex": lambda layers, d: Simplex(layers, d, cells=3, seed=5),
    "waves": lambda layers, d: Waves(layers, d, cells=3, waves=32, seed=5),
    "octaves": lambda layers, d: Octaves(
        lambda cells, seed: Perlin(layers, d, cells=cells, seed=seed), cells=2, seed=5
    ),
    "joined": lambda layers, d: Joined(
        *[Perlin(1, d, cells=3, seed=seed) for seed in range(layers)]
    ),
    "scaled": lambda layers, d: Scaled(
        Perlin(layers, d, cells=3), [0.1 * (k + 1) for k in range(layers)]
    ),
}
SMALL = [(1, 1), (3, 2), (2, 3), (1, 5)]
CASES = [(name, *size) for name in MADE for size in SMALL]
