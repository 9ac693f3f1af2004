"""The map of ignorance: where in the inputs, and how far from known rows, little is known."""

import math
from itertools import pairwise

from counterpoint.findings import Findings, IgnoranceMap
from counterpoint.report._markup import Markup, join
from counterpoint.report._parts import Section, brief, card, grid, plain
from counterpoint.report._words import amount, knowledge_sentence, listing, number
from counterpoint.report.figures import Axis, Field, Figure, Line, Points, every, extent, finite

_MOST_TARGETS = 4
_MOST_CELLS = 64
_MOST_LINE = 200
_MOST_POINTS = 300
_SHADES = 9


def ignorance(findings: Findings) -> Section | None:
    """Two cards a target: the map, and knowledge against distance; None when there is neither."""
    grids: list[Markup] = []
    for index, chart in enumerate(findings.maps[:_MOST_TARGETS]):
        cards = [_map(chart, index), _distance(chart, index)]
        if any(cards):
            grids.append(grid([part for part in cards if part is not None]))
    if not grids:
        return None
    lead = (
        "Missing knowledge is a standard deviation in the target's unit (for a category: of the"
        " probability of the class predicted): what more rows would remove. It should be small"
        " among the rows that were learnt from and grow away from them."
        f" {knowledge_sentence(findings.uncertainty)}"
    )
    return Section("ignorance", "Map of ignorance", join(grids), lead)


def _map(chart: IgnoranceMap, index: int) -> Markup | None:
    values = [finite(v) for row in chart.knowledge[:_MOST_CELLS] for v in row[:_MOST_LINE]]
    known = [value for value in values if value is not None]
    if chart.columns is None or not known:
        return None
    title = f"Missing knowledge of {plain(chart.target)}"
    held = _held(chart)
    summary = f"From {number(min(known), 3)} to {number(max(known), 3)}."
    if chart.rows is None:
        figure = _line(chart, title, summary)
        reading = "The dots at the foot are rows that were learnt from."
        return card(title, [(f"ignorance-{index}", figure)], summary, reading, held)
    low, high = extent(known)
    steps = [low + (high - low) * step / _SHADES for step in range(_SHADES + 1)]
    figures = [
        (f"ignorance-{index}", _surface(chart, title, summary, steps)),
        (f"ignorance-scale-{index}", _scale(steps)),
    ]
    reading = (
        "The stronger the colour, the less is known. Faint among the dots and strong away from them"
        " is as it should be; faint far from all dots is a reason to doubt."
    )
    return card(title, figures, summary, reading, held)


def _held(chart: IgnoranceMap) -> str:
    if not chart.others:
        return ""
    pairs = [f"{brief(name)} {brief(value)}" for name, value in chart.others.items()]
    return f"Other inputs stay at their median or commonest value: {listing(pairs, 6)}."


def _surface(chart: IgnoranceMap, title: str, summary: str, steps: list[float]) -> Figure:
    x, y = chart.x[:_MOST_CELLS], chart.y[:_MOST_CELLS]
    value = [row[: len(x)] for row in chart.knowledge[: len(y)]]
    chosen = every(min(len(chart.point_x), len(chart.point_y)), _MOST_POINTS)
    # a row beyond the map would widen the axes, and leave an empty frame around it
    inside = [i for i in chosen if _between(chart.point_x[i], x) and _between(chart.point_y[i], y)]
    dots = Points(
        [chart.point_x[i] for i in inside],
        [chart.point_y[i] for i in inside],
        radius=1.5,
        label="rows that were learnt from",
        tone="two",
    )
    return Figure(
        title,
        [Field(x, y, value, steps, _tips(steps)), dots],
        Axis(plain(chart.columns or "")),
        Axis(plain(chart.rows or "")),
        description=summary,
        height=320,
        margin=0.0,
    )


def _between(value: float, axis: list[float]) -> bool:
    return bool(axis) and axis[0] <= value <= axis[-1]


def _tips(steps: list[float]) -> list[str]:
    pairs = pairwise(steps)
    return [f"missing knowledge {number(low, 3)} to {number(high, 3)}" for low, high in pairs]


def _scale(steps: list[float]) -> Figure:
    """The shades side by side, as an axis."""
    middles = [(low + high) / 2 for low, high in pairwise(steps)]
    return Figure(
        "Shades of the map",
        [Field(middles, [0.0], [middles], steps, _tips(steps))],
        Axis("missing knowledge (standard deviation)"),
        Axis(hidden=True),
        description=f"From {number(steps[0], 3)} (faint) to {number(steps[-1], 3)} (strong).",
        height=68,
        margin=0.0,
    )


def _line(chart: IgnoranceMap, title: str, summary: str) -> Figure:
    x = chart.x[:_MOST_LINE]
    chosen = [i for i in every(len(chart.point_x), _MOST_POINTS) if _between(chart.point_x[i], x)]
    dots = Points(
        [chart.point_x[i] for i in chosen],
        [0.0] * len(chosen),
        radius=1.5,
        label="rows that were learnt from",
        tone="two",
    )
    curve = Line(x, [finite(v) for v in chart.knowledge[0][: len(x)]], "missing knowledge", "one")
    return Figure(
        title,
        [curve, dots],
        Axis(plain(chart.columns or "")),
        Axis("standard deviation", low=0.0),
        description=summary,
        height=290,
    )


def _distance(chart: IgnoranceMap, index: int) -> Markup | None:
    count = min(len(chart.distance), len(chart.missing))
    pairs = [(finite(chart.distance[i]), finite(chart.missing[i])) for i in every(count, 400)]
    # at distance 0 there is no logarithm
    known = [(x, y) for x, y in pairs if x is not None and y is not None and x > 0]
    if not known:
        return None
    summary = _summary(chart)
    # distances are ratios, so a few far rows would press all others to the edge
    spread = max(x for x, _ in known) / min(x for x, _ in known)
    figure = Figure(
        f"Missing knowledge of {plain(chart.target)} against distance",
        [Points([x for x, _ in known], [y for _, y in known], radius=2.2, tone="one")],
        Axis("distance to the nearest rows that were learnt from", log=spread > 20),
        Axis("missing knowledge", low=0.0),
        description=summary,
        height=290,
    )
    reading = (
        f"Each of the {amount(len(known), 'dot')} is a held-out row; at distance 1 it lies as far"
        " from the five nearest rows that were learnt from as those usually lie from theirs."
    )
    title = f"Does {plain(chart.target)} grow unsure far from known rows?"
    return card(title, [(f"ignorance-distance-{index}", figure)], summary, reading)


def _summary(chart: IgnoranceMap) -> str:
    near, far, rank = finite(chart.near), finite(chart.far), finite(chart.agreement)
    if near is None or far is None:
        return "There are too few held-out rows to say."
    if rank is None:
        return f"It is {number(near, 3)} near and {number(far, 3)} far."
    times = far / near if near > 0 else math.inf
    # both: a rank says that it grows, the ratio that it grows by enough to matter
    grows = 2 if rank > 0.3 and times > 1.2 else int(rank > 0.1 and times > 1.05)
    verdict = ("Hardly:", "Somewhat:", "Yes:")[grows]
    text = (
        f"{verdict} in the quarter of held-out rows farthest from known ones it is"
        f" {number(far, 3)} (median), in the nearest quarter {number(near, 3)}"
    )
    text += f" ({number(times, 2)} times)" if math.isfinite(times) else ""
    doubt = "" if grows else " Do not take a narrow interval far from all rows for knowledge."
    return f"{text}; rank correlation {number(rank, 2)}.{doubt}"
