"""Does the composite get smoother away from the shared minimum as layers are added?"""

from collections.abc import Sequence

from torch import Tensor

from counterpoint.errors import one_of
from counterpoint.landscape._aligned import Aligned
from counterpoint.landscape._composition import composition
from counterpoint.landscape._landscape import Evaluation
from counterpoint.landscape.noise import Perlin
from counterpoint.landscape.questions._grid import grid, side
from counterpoint.landscape.questions._measurement import Curve, Measurement
from counterpoint.landscape.questions._minima import Make, checked_counts


def smoothness(
    ns: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    *,
    compositions: Sequence[str] = ("mean", "largest-gradient", "largest-value"),
    measure: str = "variation",
    make: Make = lambda layers, seed: Perlin(layers, cells=6, seed=seed),
    outside: float = 1.0,
    per: int = 16,
    seeds: Sequence[int] = range(10),
) -> Measurement:
    """How rough is a composite of n aligned layers outside its shared minimum?

    Args:
        ns: how many layers.
        compositions: names of `COMPOSITIONS` that have a value.
        measure: "variation", the mean length of the path that a value takes along a line of length
            1; or "curvature", the root mean square of the discrete Laplacian. Both as shares of
            how far the shared minimum lies below the rest: of what there is to be found.
        make: the layers, before they are aligned.
        outside: how far from the shared minimum begins what is looked at, in cells.
        per: grid points to a cell.
        seeds: of the fields.

    Raises:
        InputError: no layers or seeds, an unknown measure or composition, or fields that are not
            periodic in 2 dimensions.
    """
    top = checked_counts(ns, seeds)
    measure = one_of("smoothness: measure", measure, ("variation", "curvature"))
    runs: dict[str, list[list[float]]] = {name: [] for name in compositions}
    for seed in seeds:
        landscape = Aligned(make(top, seed))
        points = grid(landscape, per)
        size = side(landscape, per)
        away = (landscape.distance(points, landscape.minimum) > outside).reshape(size, size)
        here = landscape(points)
        for name in compositions:
            row = []
            for n in ns:
                part = Evaluation(here.values[:, :n], here.gradients[:, :n])
                field = composition(name).value(part).reshape(size, size)
                row.append(_roughness(field, away, per, measure))
            runs[name].append(row)
    curves = [Curve.of(name, ns, run) for name, run in runs.items()]
    parts = "; ".join(f"{c.name} {c.mean[0]:.2f} to {c.mean[-1]:.2f}" for c in curves)
    return Measurement(
        "Is the sum of many aligned layers smoother elsewhere?",
        f"{measure.capitalize()} per depth of the shared minimum, n = {ns[0]} to {ns[-1]}: "
        f"{parts}.",
        "layers n",
        f"{measure} / depth",
        curves,
        {f"{c.name}_ratio": c.mean[-1] / c.mean[0] for c in curves},
        x_log=True,
        y_log=True,
    )


def _roughness(field: Tensor, away: Tensor, per: int, measure: str) -> float:
    # a mean of many layers is flatter altogether; what counts is how it compares with its prize
    depth = float(field[away].mean() - field.min())
    if measure == "variation":
        moves = [(field.roll(1, axis) - field).abs()[away].mean() * per for axis in (0, 1)]
        return float(sum(moves)) / 2 / depth
    laplacian = sum(field.roll(1, a) + field.roll(-1, a) for a in (0, 1)) - 4 * field
    return float((laplacian * per**2)[away].square().mean().sqrt()) / depth
