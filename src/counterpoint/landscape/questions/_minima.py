"""How many minima do layers share, and how many has their mean?"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.landscape._landscape import Landscape
from counterpoint.landscape.noise import Perlin
from counterpoint.landscape.questions._grid import grid, local_minima, near, side
from counterpoint.landscape.questions._measurement import Curve, Measurement

Make = Callable[[int, int], Landscape]
"""From how many layers, and a seed, to a landscape."""


def checked_counts(ns: Sequence[int], seeds: Sequence[int]) -> int:
    """The largest n; refuses none, or none of the seeds.

    Raises:
        InputError: in one sentence.
    """
    if not ns or min(ns) < 1 or not seeds:
        raise InputError(
            f"landscape: give at least one number of layers and one seed, found {list(ns)} and "
            f"{len(seeds)} seed(s)"
        )
    return max(ns)


def common_minima(
    ns: Sequence[int] = (1, 2, 3, 4),
    *,
    make: Make = lambda layers, seed: Perlin(layers, cells=6, seed=seed),
    radius: float = 0.25,
    per: int = 32,
    seeds: Sequence[int] = range(40),
) -> Measurement:
    """Does the share of space with a minimum of every layer fall like p^n?

    A place counts where each of n independent layers has a local minimum within `radius`; p is the
    share for one layer. The law is fitted as ``log c(n) = a + n log p`` by least squares, each n
    with the inverse variance of its logarithm as its weight; the interval is the middle 95 % of the
    fits to seeds drawn with replacement.

    Args:
        ns: how many layers.
        make: the layers; not aligned, for then one minimum is common by construction.
        radius: in cells.
        per: grid points to a cell.
        seeds: of the fields; each is one sample.

    Raises:
        InputError: no layers or seeds, or the fields are not periodic in 2 dimensions.
    """
    # the first n of the same layers for every n: what differs between n is n alone
    top = checked_counts(ns, seeds)
    shares, mixed, single = [], [], []
    for seed in seeds:
        landscape = make(top, seed)
        size = side(landscape, per)
        fields = landscape(grid(landscape, per)).values.T.reshape(top, size, size)
        places = local_minima(fields)
        close = near(places, round(radius * per))
        shares.append([float(close[:n].all(0).double().mean()) for n in ns])
        single.append(float(places.double().mean()) * per**2)
        means = torch.stack([fields[:n].mean(0) for n in ns])
        mixed.append((local_minima(means).double().mean((1, 2)) * per**2).tolist())
    p, low, high = _law(ns, torch.tensor(shares, dtype=torch.float64))
    start = Curve.of("near a minimum of every layer", ns, shares)
    law = [start.mean[0] * p ** (n - ns[0]) for n in ns]
    curve = Curve.of("minima of the mean, per cell", ns, mixed)
    sentence = (
        f"The share of space near a common minimum falls like p^n with p = {p:.4f} "
        f"({low:.4f} to {high:.4f}); one layer has {start.mean[0]:.4f}. The mean of n layers has "
        f"{curve.mean[0]:.2f} minima per cell at n = {ns[0]} and {curve.mean[-1]:.2f} at "
        f"n = {ns[-1]}: it does not multiply them."
    )
    numbers = {"p": p, "p_low": low, "p_high": high, "minima_of_a_layer": sum(single) / len(single)}
    drawn = Curve("p^n", list(ns), law, [0.0] * len(ns), measured=False)
    return Measurement(
        "How fast do common minima become rare?",
        sentence,
        "layers n",
        "share of space, minima per cell",
        [start, drawn, curve],
        numbers,
        y_log=True,
    )


def unequal_densities(
    cells: Sequence[int] = (3, 4, 6, 8),
    *,
    radius: float = 0.25,
    per: int = 32,
    seeds: Sequence[int] = range(40),
) -> Measurement:
    """With layers of unequal density of minima, is the law the product of the p_k?

    Layer k is noise with ``cells[k]`` cells on a torus of the size of the coarsest.

    Args:
        cells: of each layer; the law is tried for the first 1, 2, … of them.
        radius: how near counts, in cells of the coarsest.
        per: grid points to a cell of the coarsest.
        seeds: of the fields.

    Raises:
        InputError: no layers or seeds.
    """
    checked_counts([len(cells)], seeds)
    coarse = min(cells)
    unit = torch.arange(coarse * per, dtype=torch.float64) / (coarse * per)
    points = torch.cartesian_prod(unit, unit)
    found, alone = [], []
    for seed in seeds:
        fields = [
            Perlin(1, cells=c, seed=1000 * seed + k)(points * c).values[:, 0]
            for k, c in enumerate(cells)
        ]
        square = torch.stack(fields).reshape(len(cells), coarse * per, -1)
        close = near(local_minima(square), round(radius * per)).double()
        alone.append(close.mean((1, 2)).tolist())
        found.append([float(close[: k + 1].prod(0).mean()) for k in range(len(cells))])
    each = torch.tensor(alone, dtype=torch.float64).mean(0)
    ns = [float(k + 1) for k in range(len(cells))]
    curve = Curve.of("measured", ns, found)
    law = each.cumprod(0).tolist()
    ratio = curve.mean[-1] / law[-1]
    error = curve.error[-1] / law[-1]
    return Measurement(
        "And if the layers are not equally rich in minima?",
        f"With all {len(cells)} layers the measured share is {ratio:.2f} ± {2 * error:.2f} times "
        "the product of the layers' own shares (two standard errors).",
        "layers n",
        "share of space",
        [curve, Curve("product of p_k", ns, law, [0.0] * len(ns), measured=False)],
        {"ratio": ratio, "error": error},
        y_log=True,
    )


def _law(ns: Sequence[int], shares: Tensor) -> tuple[float, float, float]:
    """p, and the middle 95 % of it over 400 draws of the seeds."""
    drawn = torch.Generator().manual_seed(0)
    picks = torch.randint(len(shares), (400, len(shares)), generator=drawn)
    fits = torch.tensor([_slope(ns, shares[pick]) for pick in picks], dtype=torch.float64)
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = fits.nanquantile(ends).tolist()
    return _slope(ns, shares), low, high


def _slope(ns: Sequence[int], shares: Tensor) -> float:
    """P of the weighted fit; NaN where fewer than two n found anything."""
    mean = shares.mean(0)
    there = mean > 0
    if int(there.sum()) < 2:
        return float("nan")
    x = torch.tensor(list(ns), dtype=torch.float64)[there]
    # the error of log c is that of c over c; one seed has none, and all weigh the same
    error = shares.std(0, correction=0)[there] / mean[there]
    weight = 1 / (error**2 + 1e-6)
    y, weight = mean[there].log(), weight / weight.sum()
    apart = x - weight @ x
    return float(((weight * apart) @ (y - weight @ y) / (weight @ apart.square())).exp())
