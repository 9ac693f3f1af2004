"""A target that is a number: predictions against the truth, and how honest the intervals are."""

import math
from dataclasses import fields
from itertools import pairwise
from statistics import NormalDist, fmean, median, pstdev

from counterpoint.findings import Coverage, GroupCoverage, HeldOut, TargetFindings
from counterpoint.report._markup import Markup, tag
from counterpoint.report._parts import brief, card, figures_table, named, text_card
from counterpoint.report._statistics import Cover, binomial_band, expected_cover, standardised
from counterpoint.report._words import amount, left_out, number, percent, sentences
from counterpoint.report.figures import (
    Area,
    Axis,
    Figure,
    Guide,
    Histogram,
    Line,
    Points,
    Tone,
    every,
    extent,
    finite,
)

_MOST_ROWS = 20_000
_MOST_GROUPS = 8
_DECADES = 100.0
_NOISE_BINS = 5
_DIFFERS = 1.05
"""How much the noise of rows must differ to be worth a picture."""

# half a deviation a bar from -4 to 4, and one more on either side for all beyond
_EDGES = [-4.5 + 0.5 * index for index in range(19)]


def number_cards(target: TargetFindings, anchor: str, points: int) -> list[Markup]:
    """Predicted against actual (at most so many points), coverage, standardised residuals."""
    cards: list[Markup] = []
    held = None if target.held_out is None else _some(target.held_out)
    if held is not None and held.actual:
        cards.append(_predicted(target, held, anchor, points))
    if target.coverage is not None and target.coverage.nominal:
        cards.append(_coverage(target, target.coverage, anchor))
    if target.groups:
        cards.append(_groups(target))
    if held is not None and (residuals := standardised(held)):
        cards.append(_residuals(residuals, anchor))
    if held is not None and max(held.noise, default=0.0) > _DIFFERS * min(held.noise, default=0.0):
        cards.append(_noise(held, anchor))
    return cards


def _some(held: HeldOut) -> HeldOut:
    """The rows, or 20,000 of them evenly spread: no picture changes with more."""
    if len(held.actual) <= _MOST_ROWS:
        return held
    chosen = every(len(held.actual), _MOST_ROWS)
    lists = {part.name: getattr(held, part.name) for part in fields(held)}
    return HeldOut(**{name: [values[row] for row in chosen] for name, values in lists.items()})


def _predicted(target: TargetFindings, held: HeldOut, anchor: str, points: int) -> Markup:
    # evenly by position, not at random: the same findings are the same page to the byte
    chosen = every(len(held.actual), points)
    inside = [index for index in chosen if _covered(held, index)]
    outside = [index for index in chosen if not _covered(held, index)]
    drawn = [value for index in chosen for value in (held.actual[index], held.mean[index])]
    # over two orders of magnitude all rows but a few would lie in one corner
    log = min(drawn) > 0 and max(drawn) > _DECADES * min(drawn)
    ends = extent(drawn, log=log)
    level = percent(target.interval)
    marks = [
        Line(ends, ends, "exact", "soft", dashed=True),
        _layer(held, inside, f"inside its {level} interval", "one", ends[0] if log else None),
        _layer(held, outside, "outside", "two", ends[0] if log else None),
    ]
    summary = _summary(target, len(chosen))
    figure = Figure(
        "Predicted against actual",
        # a layer without rows would still stand in the legend
        [mark for mark in marks if isinstance(mark, Line) or mark.x],
        Axis("actual", log=log),
        Axis("predicted", log=log),
        description=summary,
        height=290,
    )
    reading = (
        "Each dot is a held-out row, its bar the interval; a bar that crosses the dashed line holds"
        " the true value."
    )
    return card(
        "Predicted against actual",
        [(f"{anchor}-predicted", figure)],
        reading,
        summary,
        _doubt(held),
    )


def _covered(held: HeldOut, index: int) -> bool:
    return held.low[index] <= held.actual[index] <= held.high[index]


def _layer(held: HeldOut, rows: list[int], label: str, tone: Tone, least: float | None) -> Points:
    """Some rows; on a logarithmic axis bars end at the least value, where zero has no place."""
    tips = [_tip(held, index) for index in rows]
    return Points(
        [held.actual[index] for index in rows],
        [held.mean[index] for index in rows],
        [held.low[i] if least is None else max(held.low[i], least) for i in rows],
        [held.high[index] for index in rows],
        tips=tips,
        label=label,
        tone=tone,
    )


def _tip(held: HeldOut, index: int) -> str:
    span = f"{number(held.low[index])} to {number(held.high[index])}"
    actual = f"row {held.row[index]:,}\nactual {number(held.actual[index])}"
    return f"{actual}\npredicted {number(held.mean[index])} ({span})"


def _summary(target: TargetFindings, drawn: int) -> str:
    cover = expected_cover(target) if target.coverage is None else None
    text = _sentence(cover) if cover is not None else ""
    rows = 0 if target.held_out is None else len(target.held_out.actual)
    if drawn < rows:
        text += f" {drawn:,} of {amount(rows, 'row')}, evenly chosen, are drawn."
    return text


def _sentence(cover: Cover) -> str:
    return (
        f"{percent(cover.level)} intervals cover {percent(cover.observed)} of"
        f" {amount(cover.rows, 'held-out row')}; between {percent(cover.low)} and"
        f" {percent(cover.high)} would be expected by chance."
    )


def _doubt(held: HeldOut) -> str:
    """How much of the predicted variance is knowledge that is missing, in the middle row."""
    pairs = [(n * n, k * k) for n, k in zip(held.noise, held.knowledge, strict=False)]
    # the median of the shares: one row far from all others would decide a mean
    shares = [k / (n + k) for n, k in pairs if 0 < n + k < math.inf]
    if not shares:
        return ""
    return (
        f"Missing knowledge makes up {percent(median(shares))} of the predicted variance in the"
        " median row; the rest the model takes for noise, which more rows would not remove."
    )


def _coverage(target: TargetFindings, coverage: Coverage, anchor: str) -> Markup:
    pairs = [
        (finite(a), finite(b)) for a, b in zip(coverage.nominal, coverage.observed, strict=False)
    ]
    pairs = sorted((a, b) for a, b in pairs if a is not None and b is not None)[:200]
    levels = [index / 50 for index in range(51)]
    # what chance alone does to a model that is right, so that nobody corrects noise
    bands = [binomial_band(coverage.rows, level) for level in levels]
    tips = [f"nominal {percent(level)}\nobserved {percent(seen)}" for level, seen in pairs]
    cover = expected_cover(target)
    summary = _sentence(cover) if cover is not None else ""
    figure = Figure(
        "Coverage against nominal level",
        [
            Area(
                levels, [low for low, _ in bands], [high for _, high in bands], "expected by chance"
            ),
            Line([0.0, 1.0], [0.0, 1.0], "exact", "soft", dashed=True),
            Line([level for level, _ in pairs], [seen for _, seen in pairs], "observed", "one"),
            Points(
                [level for level, _ in pairs], [seen for _, seen in pairs], radius=3.4, tips=tips
            ),
        ],
        Axis("nominal level of the interval", 0.0, 1.0, kind="percent"),
        Axis("held-out rows inside", 0.0, 1.0, kind="percent"),
        description=summary,
        height=290,
    )
    reading = "Below the dashed line intervals are too narrow (overconfident), above it too wide."
    band = "The band holds 95 % of the outcomes of a perfectly calibrated model, level by level."
    return card(
        "Are the intervals honest?",
        [(f"{anchor}-coverage", figure)],
        sentences(summary, _by_parts(target)),
        reading,
        band,
    )


def _groups(target: TargetFindings) -> Markup:
    """The groups in which intervals hold least, and what chance alone would show there."""
    least = target.groups[:_MOST_GROUPS]
    below = [group for group in target.groups if group.inside < _chance(target, group)[0]]
    rows = [
        tag(
            "tr",
            None,
            tag("th", {"scope": "row"}, named(f"{brief(group.column)}: {brief(group.level)}")),
            *(
                tag("td", {"class": "amount"}, text)
                for text in (
                    f"{group.rows:,}",
                    percent(group.inside),
                    " to ".join(percent(end) for end in _chance(target, group)),
                )
            ),
        )
        for group in least
    ]
    level = percent(target.interval)
    # one in forty lies below its band by chance: of many groups some will
    verdict = (
        f"In {len(below)} of {amount(len(target.groups), 'group')} {level} intervals hold fewer"
        f" rows than chance explains; about {len(target.groups) / 40:.1f} would by chance alone."
    )
    headings = ("group", "held-out rows", "inside", "by chance")
    more = left_out(len(target.groups) - len(least), "more group")
    inside = figures_table(headings, rows, sentences(verdict, more))
    return text_card("In which groups do they hold?", inside)


def _chance(target: TargetFindings, group: GroupCoverage) -> tuple[float, float]:
    return binomial_band(group.rows, target.interval)


def _by_parts(target: TargetFindings) -> str:
    """The share inside in each third of the predictions, the lowest first."""
    parts = [] if target.verdict is None else target.verdict.parts
    if len(parts) < 2:
        return ""
    shares = [f"{percent(p.observed)} ({number(p.low)} to {number(p.high)})" for p in parts]
    return f"By thirds of the prediction: {', '.join(shares)}."


def _residuals(residuals: list[float], anchor: str) -> Markup:
    counts = [0] * (len(_EDGES) - 1)
    residuals = [min(max(residual, -1e9), 1e9) for residual in residuals]  # tails, maybe infinite
    for residual in residuals:
        # the outermost bars hold all beyond: an outlier must not vanish from a calibration plot
        counts[min(max(math.floor((residual + 4.5) / 0.5), 0), len(counts) - 1)] += 1
    tips = [f"{_range(index)}\n{amount(count, 'row')}" for index, count in enumerate(counts)]
    grid = [-4.5 + 0.1 * index for index in range(91)]
    normal = NormalDist()
    # density times rows times the width of a bin: what its bar would show
    expected = [len(residuals) * 0.5 * normal.pdf(value) for value in grid]
    summary = _shape(residuals)
    figure = Figure(
        "Standardised residuals",
        [
            Histogram(_EDGES, counts, tips, "held-out rows", "one"),
            Line(grid, expected, "normal", "two"),
            Guide(x=0.0),
        ],
        Axis("(actual − predicted) / predicted standard deviation", -4.5, 4.5),
        Axis("rows", low=0.0, kind="whole"),
        description=summary,
        height=290,
    )
    reading = "Errors in units of what the model expected; the outermost bars hold all rows beyond."
    return card("How large are the errors?", [(f"{anchor}-residuals", figure)], reading, summary)


def _noise(held: HeldOut, anchor: str) -> Markup:
    order = sorted(range(len(held.mean)), key=lambda index: held.mean[index])
    # a median a bin: a dot a row would say no more, and make the page a quarter larger
    cuts = [len(order) * index // _NOISE_BINS for index in range(_NOISE_BINS + 1)]
    bins = [order[low:high] for low, high in pairwise(cuts) if low < high]
    summary = (
        f"Its standard deviation goes from {number(min(held.noise))} to {number(max(held.noise))}."
    )
    figure = Figure(
        "Noise by prediction",
        [
            Line(
                [median(held.mean[index] for index in part) for part in bins],
                [median(held.noise[index] for index in part) for part in bins],
            )
        ],
        Axis("predicted"),
        Axis("noise", low=0.0),
        description=summary,
        height=290,
    )
    reading = "Medians of held-out rows of like prediction."
    return card("Noise by prediction", [(f"{anchor}-noise", figure)], summary, reading)


def _range(index: int) -> str:
    if index == 0:
        return "below −4"
    if index == len(_EDGES) - 2:
        return "above 4"
    return f"{number(_EDGES[index])} to {number(_EDGES[index + 1])}"


def _shape(residuals: list[float]) -> str:
    far = sum(abs(residual) > 2 for residual in residuals) / len(residuals)
    text = f"{percent(far)} lie beyond two standard deviations (4.6 % if errors are normal)."
    if len(residuals) < 2:
        return text
    middle, spread = fmean(residuals), pstdev(residuals)
    return (
        f"Their mean is {number(middle, 2)} (0 is unbiased) and their standard deviation"
        f" {number(spread, 3)} (1 is exact). {text}"
    )
