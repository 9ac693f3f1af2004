"""How much of a Pareto front do walks find, and how near do they come?"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.landscape._composition import Alternation, Ruled, Weighted, composition
from counterpoint.landscape._descend import descend
from counterpoint.landscape._landscape import Landscape
from counterpoint.landscape.functions import problem
from counterpoint.landscape.questions._basins import Composed
from counterpoint.landscape.questions._measurement import Curve, Measurement

ON_FRONTS: Mapping[str, Composed] = {
    "mean": lambda _: composition("mean"),
    "impartial": lambda _: Weighted(-1.0),
    "alternation": lambda seed: Alternation("uniform", seed),
    "mgda": lambda seed: Ruled("mgda", seed),
    "upgrad": lambda seed: Ruled("upgrad", seed),
}

_DRAWS = 1 << 12  # points of the goal space, by which volumes are measured: to about 1 %


def front_reached(
    name: str = "zdt1",
    *,
    compositions: Mapping[str, Composed] = ON_FRONTS,
    dimension: int = 4,
    starts: int = 12,
    steps: int = 150,
    step: float = 0.02,
    optimiser: str = "adam",
    seeds: Sequence[int] = range(2),
) -> Measurement:
    """What of the Pareto front have walks found after so many steps, and how near do they end?

    The curves are hypervolumes of the walks as shares of the front's, below a point a tenth beyond
    its worst values (Zitzler and Thiele 1999); the number by each name is the mean distance from
    where its walks end to the nearest point of the known front, in goal space, in units of the
    front's extent. Walks stay in the function's box.

    Args:
        name: of a function of several goals; see `counterpoint.landscape.functions.SEVERAL`.
        compositions: what to compare, by name; each is made for a seed.
        dimension: d.
        starts: how many places, drawn uniformly.
        steps: as in `descend`.
        step: as in `descend`.
        optimiser: as in `descend`.
        seeds: of starts and draws.

    Raises:
        InputError: a function of one goal, no seeds, or what `descend` refuses.
    """
    found = problem(name, dimension)
    if found.front is None:
        raise InputError(f"front: {name} has one goal, and so no front; take for example 'zdt1'")
    if not seeds:
        raise InputError("front: expected at least one seed, found none")
    front = _Front(found.landscape, found.front)
    times = [t for t in (1, 3, 10, 30, 100, 300, 1000, 3000) if t < steps] + [steps]
    walk = partial(descend, steps=steps, step=step, optimiser=optimiser, record=True, inside=True)
    curves, away = list[Curve](), dict[str, float]()
    for key, composed in compositions.items():
        paths = [
            walk(found.landscape, front.starts(starts, seed), composed(seed)).path for seed in seeds
        ]
        goals = [[front.goals(path[time]) for time in times] for path in paths if path is not None]
        whole = volume(front.points)
        curves.append(
            Curve.of(key, times, [[volume(here) / whole for here in run] for run in goals])
        )
        away[key] = sum(front.distance(run[-1]) for run in goals) / len(goals)
    return _answer(name, curves, away)


def _answer(name: str, curves: Sequence[Curve], away: dict[str, float]) -> Measurement:
    said = [
        f"{curve.name} finds {curve.mean[-1]:.0%} of the front and ends {away[curve.name]:.3f} away"
        for curve in curves
    ]
    return Measurement(
        f"{name}: who finds the front?",
        f"{name}: {'; '.join(said)}.",
        "steps",
        "share of the front's volume",
        curves,
        away,
        x_log=True,
    )


class _Front:
    """A front whose values go from 0 to 1 along each goal, and goals measured by it."""

    def __init__(self, landscape: Landscape, points: Float[Tensor, "front goals"]) -> None:
        self._landscape, self._low, self._high = landscape, points.amin(0), points.amax(0)
        self.points = self._scaled(points)

    def starts(self, count: int, seed: int) -> Float[Tensor, "points dimension"]:
        return self._landscape.uniform(count, torch.Generator().manual_seed(seed))

    def goals(self, points: Float[Tensor, "points dimension"]) -> Float[Tensor, "points goals"]:
        return self._scaled(self._landscape(points).values)

    def distance(self, goals: Float[Tensor, "points goals"]) -> float:
        """The mean distance to the nearest point of the front."""
        return float(torch.cdist(goals, self.points).amin(1).mean())

    def _scaled(self, values: Float[Tensor, "points goals"]) -> Float[Tensor, "points goals"]:
        return (values - self._low) / (self._high - self._low)


def volume(goals: Float[Tensor, "points goals"]) -> float:
    """The share of the box from the best values to a tenth beyond the worst that is dominated."""
    count = goals.shape[1]
    draws = 1.1 * torch.quasirandom.SobolEngine(count).draw(_DRAWS, dtype=goals.dtype)
    beaten = torch.zeros(len(draws), dtype=torch.bool)
    for point in goals:
        beaten |= (point <= draws).all(1)
    return float(beaten.double().mean())
