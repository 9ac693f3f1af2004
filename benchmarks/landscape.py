"""Values with gradients a second: our noise beside libraries that have values alone.

    python benchmarks/landscape.py [--repeats 7]

opensimplex has no gradient: for one it is asked once, and once more an axis (forward differences),
which is the least that a user of it must do; its values alone are shown beside. pyfastnoiselite
likewise. Then 10^6 points of 4 dimensions: the memory of a call beyond its answer.
"""

import argparse
import resource
from collections.abc import Callable

import numpy as np
import torch
from _measure import environment, installed, interleave, ratios, record, show

from counterpoint.landscape.noise import Perlin, Simplex, Waves

SIDE = 256
STEP = 1e-5


def cases() -> dict[str, Callable[[], None]]:
    """On one grid of SIDE x SIDE points of the plane."""
    axis = np.arange(SIDE) * (6 / SIDE)
    points = torch.cartesian_prod(torch.from_numpy(axis), torch.from_numpy(axis))
    found: dict[str, Callable[[], None]] = {}
    for name, noise in {"perlin": Perlin(), "simplex": Simplex(), "waves": Waves()}.items():
        found[name] = lambda noise=noise: noise(points) and None
    if installed("opensimplex"):
        import opensimplex

        opensimplex.seed(0)

        def values() -> None:
            opensimplex.noise2array(axis, axis)

        def slopes() -> None:
            base = opensimplex.noise2array(axis, axis)
            _ = (opensimplex.noise2array(axis + STEP, axis) - base) / STEP
            _ = (opensimplex.noise2array(axis, axis + STEP) - base) / STEP

        found |= {"opensimplex, values alone": values, "opensimplex, differences": slopes}
    if installed("pyfastnoiselite"):
        from pyfastnoiselite.pyfastnoiselite import FastNoiseLite, NoiseType

        fast = FastNoiseLite(0)
        fast.noise_type = NoiseType.NoiseType_Perlin
        fast.frequency = 1.0
        grid = np.ascontiguousarray(points.numpy().T.astype(np.float32))
        ahead = [
            grid + np.float32(1e-2) * np.eye(2, dtype=np.float32)[:, i : i + 1] for i in (0, 1)
        ]

        def coordinates() -> None:
            for part in (grid, *ahead):
                fast.gen_from_coords(part)

        found["pyfastnoiselite, float32, differences"] = coordinates
    return found


def memory() -> dict[str, float]:
    """MiB by which a million points in 4 dimensions raise the peak, and what the answer takes."""
    noise = Perlin(1, 4)
    points = noise.uniform(1_000_000, torch.Generator().manual_seed(0))
    noise(points[:1000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    here = noise(points)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = 8 * (here.values.numel() + here.gradients.numel()) / 2**20
    return {"peak_mib": round((after - before) / 1024, 1), "answer_mib": round(answer, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    used = memory()
    seconds = interleave(cases(), repeats)
    found = ratios(seconds, "perlin")
    for row in found.values():
        row["points_a_second"] = round(SIDE**2 / row["median_seconds"])
    show(found, {})
    print(f"10^6 points in 4 dimensions: {used}")
    packages = ("opensimplex", "pyfastnoiselite")
    record("landscape", {"environment": environment(*packages), "grid": found, "memory": used})


if __name__ == "__main__":
    main()
