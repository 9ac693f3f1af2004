"""The page's two curves: who arrives, against the number of goals, and the law of p^n."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.landscape._composition import Composition
from counterpoint.landscape._descend import descend
from counterpoint.landscape._landscape import Evaluation
from counterpoint.landscape.page._hills import SETTLE, STEPS, Hills, composed, share_arrived, starts
from counterpoint.landscape.page._law import LARGEST, Law
from counterpoint.landscape.page._words import percent
from counterpoint.recipe import Lab
from counterpoint.report.figures import Axis, Figure, Line, Mark, Points, Tone

_COUNTS = (1, 2, 4, 8, 16)
STARTS = 40
STEP = 0.6  # at which alternation does best; the sum does no better at another
_CURVES: dict[str, tuple[str, Tone]] = {
    "alternation": ("alternation", "one"),
    "largest-gradient": ("largest gradient", "three"),
    "mean": ("the sum", "two"),
}


def arrivals(
    lab: Lab, fields: int, progress: Callable[[str], None]
) -> dict[str, Float[np.ndarray, "fields counts"]]:
    """The share of walks that reach the shared minimum, by rule and number of layers.

    Args:
        lab: its cells, and the first of the seeds.
        fields: how many seeds.
        progress: is told what is done.
    """
    found = {rule: np.zeros((fields, len(_COUNTS))) for rule in _CURVES}
    blocks = [(layers, rule) for layers in _COUNTS for rule in _CURVES]
    for field in range(fields):
        progress(f"walking over field {field + 1} of {fields}")
        own = Lab(_COUNTS[-1], lab.cells, (lab.seed + field) % 2**32)
        hills = Hills(own)
        # all of them in one descent: a step costs little more for 15 times as many walks
        points = starts(own, STARTS).repeat(len(blocks), 1)
        along = _Blocks([(layers, composed(rule, own.seed)) for layers, rule in blocks])
        points = descend(hills, points, along, steps=STEPS, step=STEP).ends
        along = _Blocks([(layers, composed("mean", own.seed)) for layers, _ in blocks])
        points = descend(hills, points, along, steps=SETTLE, step=STEP / 12).ends
        for (layers, rule), ends in zip(blocks, points.split(STARTS), strict=True):
            share = share_arrived(hills, hills.minimum, ends)
            found[rule][field, _COUNTS.index(layers)] = share
    return found


class _Blocks(Composition):
    """Blocks of points side by side, each over the first n layers by a composition of its own."""

    def __init__(self, parts: Sequence[tuple[int, Composition]]) -> None:
        self._parts = parts

    def weights(self, here: Evaluation) -> Float[Tensor, "points layers"]:
        """Those of each block; 0 for layers that it does not have."""
        weights = torch.zeros_like(here.values)
        for (layers, part), rows in zip(
            self._parts, torch.arange(len(weights)).chunk(len(self._parts)), strict=True
        ):
            seen = Evaluation(here.values[rows, :layers], here.gradients[rows, :layers])
            # the step divides by the number of all layers, the block's has fewer
            weights[rows, :layers] = part.weights(seen) * (weights.shape[1] / layers)
        return weights


def arrival_figure(found: dict[str, Float[np.ndarray, "fields counts"]]) -> str:
    """Curves with the least and the most of all fields."""
    marks: list[Mark] = []
    places = [float(place) for place in range(len(_COUNTS))]
    for rule, (label, tone) in _CURVES.items():
        shares = found[rule]
        mean = shares.mean(0).tolist()
        tips = [f"{label}, n = {n}: {percent(x)}" for n, x in zip(_COUNTS, mean, strict=True)]
        marks.append(Line(places, mean, tone=tone))
        marks.append(
            Points(
                places, mean, shares.min(0).tolist(), shares.max(0).tolist(), 3.4,
                tips, label, tone,
            )
        )  # fmt: skip
    last = ", ".join(f"{_CURVES[rule][0]} {percent(found[rule][:, -1].mean())}" for rule in _CURVES)
    figure = Figure(
        "Share of walks that reach the shared valley",
        marks,
        Axis("goals that share the step, n", names=[str(count) for count in _COUNTS]),
        Axis("share that arrived", low=0.0, high=1.0, kind="percent"),
        f"At n = 16: {last}.",
    )
    return figure.svg("arrivals-figure")


def law_figure(counted: Law) -> str:
    """What was counted, and what chance alone would leave."""
    counts = [float(n) for n in range(1, LARGEST + 1)]
    chance, common = counted.chance.mean(0), counted.common.mean(0)
    low = float(chance[-1]) / 3
    below, above = _errors(counted.common, low)
    figure = Figure(
        "Share of the plane that lies in a valley of all n goals",
        [
            Line(counts, chance.tolist(), "chance alone: pⁿ", "one", dashed=True),
            Points(
                counts, _positive(common), below, above, 3.4,
                [f"n = {n:.0f}: {percent(x, 3)}" for n, x in zip(counts, common, strict=True)],
                "counted", "two",
            ),
        ],
        Axis("goals, n", kind="whole"),
        Axis("share of the plane", low=low, log=True, kind="percent"),
        f"From {percent(common[0], 1)} for one goal to {percent(common[2], 2)} for three; "
        f"chance alone would leave {percent(chance[2], 2)}.",
    )  # fmt: skip
    return figure.svg("law-figure")


def _errors(
    rows: Float[np.ndarray, "fields counts"], low: float
) -> tuple[list[float | None], list[float | None]]:
    """Ends of bars of one standard error, the lower no lower than the axis; none where all is 0."""
    mean, error = rows.mean(0), rows.std(0, ddof=1) / len(rows) ** 0.5
    below = np.where(mean > 0, np.maximum(mean - error, low), 0.0)
    return _positive(below), _positive(np.where(mean > 0, mean + error, 0.0))


def _positive(values: Float[np.ndarray, " counts"]) -> list[float | None]:
    """Values for a logarithmic axis: where nothing was counted there is nothing to draw."""
    return [float(value) if value > 0 else None for value in values]
