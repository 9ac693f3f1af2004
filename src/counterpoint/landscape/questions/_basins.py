"""Who reaches the minimum that all layers share?"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from counterpoint.landscape._aligned import Aligned
from counterpoint.landscape._composition import Alternation, Composition, Weighted, composition
from counterpoint.landscape._descend import descend
from counterpoint.landscape._landscape import Landscape
from counterpoint.landscape._scaled import Scaled
from counterpoint.landscape.noise import Perlin
from counterpoint.landscape.questions._measurement import Curve, Measurement
from counterpoint.landscape.questions._minima import Make, checked_counts

Composed = Callable[[int], Composition]
"""From a seed to a composition: those that draw, or remember, are made anew for each run."""

COMPARED: Mapping[str, Composed] = {
    "mean": lambda _: composition("mean"),
    "weights ~ |g|": lambda _: Weighted(1.0),
    "weights ~ 1/|g|": lambda _: Weighted(-1.0),
    "largest gradient": lambda _: composition("largest-gradient"),
    "alternation": lambda seed: Alternation("uniform", seed),
    "alternation by |g|": lambda seed: Alternation("magnitude", seed),
}


def reached(
    ns: Sequence[int] = (1, 2, 4, 8, 16),
    *,
    compositions: Mapping[str, Composed] = COMPARED,
    make: Make = lambda layers, seed: Perlin(layers, cells=6, seed=seed),
    scales: Callable[[int], Sequence[float]] | None = None,
    apart: float = 0.0,
    starts: int = 200,
    steps: int = 640,
    settle: int = 160,
    step: float = 0.6,
    optimiser: str = "sgd",
    momentum: float = 0.0,
    radius: float = 0.15,
    seeds: Sequence[int] = range(3),
) -> Measurement:
    """From which share of all places does descent end in the shared minimum, against n?

    Args:
        ns: how many aligned layers.
        compositions: what to compare, by name; each is made for a seed.
        make: the layers, before they are aligned; any dimension.
        scales: from n to the layers' heights; equal if None.
        apart: how far the layers' minima are from the shared one, in cells.
        starts: how many places, drawn uniformly.
        steps: as in `descend`.
        settle: as in `descend`.
        step: as in `descend`.
        optimiser: as in `descend`.
        momentum: as in `descend`.
        radius: how near counts as reached, in cells.
        seeds: of fields, starts and draws.

    Raises:
        InputError: no layers or seeds, or what `descend` refuses.
    """
    checked_counts(ns, seeds)
    walk = partial(
        descend, steps=steps, step=step, optimiser=optimiser, momentum=momentum, settle=settle
    )

    def shares(n: int, seed: int) -> list[float]:
        aligned = Aligned(make(n, seed), apart=apart, seed=seed)
        landscape: Landscape = aligned if scales is None else Scaled(aligned, scales(n))
        begin = landscape.uniform(starts, torch.Generator().manual_seed(seed))
        went = [walk(landscape, begin, composed(seed)) for composed in compositions.values()]
        return [
            float((landscape.distance(one.ends, aligned.minimum) < radius).double().mean())
            for one in went
        ]

    tables = [[shares(n, seed) for n in ns] for seed in seeds]
    return _answer(
        ns,
        [
            Curve.of(name, ns, [[row[k] for row in table] for table in tables])
            for k, name in enumerate(compositions)
        ],
    )


def _answer(ns: Sequence[int], curves: Sequence[Curve]) -> Measurement:
    """The best at the most layers, beside the mean."""
    best = max(curves, key=lambda curve: curve.mean[-1])
    mean = next((curve for curve in curves if curve.name == "mean"), curves[0])
    return Measurement(
        "Who finds the minimum that all layers share?",
        f"With n = {ns[-1]} layers {best.name} reaches it from {best.mean[-1]:.2f} of all starts, "
        f"{mean.name} from {mean.mean[-1]:.2f}.",
        "layers n",
        "share of starts",
        curves,
        {curve.name: curve.mean[-1] for curve in curves},
        x_log=True,
    )
