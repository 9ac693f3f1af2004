"""How several goals shared the steps: who pulled where, how much each counted, what was odd."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean

from counterpoint.findings import BalanceFindings, Findings
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._parts import Heading, Section, card, grid, plain, sized, table
from counterpoint.report._words import (
    amount,
    first_of,
    left_out,
    listing,
    number,
    percent,
    sentences,
)
from counterpoint.report.figures import Axis, Cells, Figure, Guide, finite
from counterpoint.report.figures._text import shorten
from counterpoint.report.sections._timeline import Curves, short, timeline

_MOST_GOALS = 8
_MOST_PAIRS = 6
_MOST_CELLS = 100
_MOST_ALARMS = 12
_HALF_NAME = 11  # two of them with ", " between are as long as one name may be


def balance(findings: Findings) -> Section | None:
    """Timelines of losses, weights and control, the cosines, the alarms; None without any."""
    record = findings.balance
    if record is None or not record.goals or not record.step:
        return None
    # control and cosines are None where the rule measured no gradient
    cards = [_losses(record), _weights(record), _control(record), _pairs(record), _matrices(record)]
    body = [grid([made for made in cards if made is not None]), _alarms(record)]
    return Section("balance", "How the goals shared the steps", join(body), _lead(record))


def _lead(record: BalanceFindings) -> str:
    text = (
        "A step goes along the mean of the goals' gradients, each times its weight; weights of 1"
        f" are the plain mean. The rule {plain(record.rule)} chose the weights"
    )
    text += f" (gradients: {plain(record.source)})." if record.source else "."
    text += f" {amount(len(record.step), 'step')} of {max(record.step):,} are recorded."
    return sentences(text, first_of(_MOST_GOALS, len(record.goals), "goals"))


def _curves(record: BalanceFindings, values: Mapping[str, Sequence[float | None]]) -> Curves:
    return Curves.of(
        record.step, {name: values.get(name, []) for name in record.goals[:_MOST_GOALS]}
    )


def _events(record: BalanceFindings) -> list[tuple[int, str]]:
    return [(alarm.step, alarm.kind) for alarm in record.alarms]


def _means(curves: Curves) -> dict[str, float]:
    return {name: fmean(values) for name, values in curves.known().items()}


def _losses(record: BalanceFindings) -> Markup | None:
    curves = _curves(record, record.losses)
    ends = [
        f"{short(name)} went from {number(values[0], 3)} to {number(values[-1], 3)}"
        for name, values in curves.known().items()
    ]
    summary = f"Each goal on the batches of its steps, noisy as batches are: {listing(ends, 4)}."
    axis = Axis("loss", log=curves.spans)
    return timeline("balance-losses", "Losses", curves, axis, summary, events=_events(record))


def _weights(record: BalanceFindings) -> Markup | None:
    curves = _curves(record, record.weights)
    means = [f"{short(name)} {number(mean, 3)}" for name, mean in _means(curves).items()]
    summary = f"How much each goal counted, on average: {listing(means, 4)}."
    reading = "At the dotted line a goal counts as in the plain mean, above it more."
    return timeline(
        "balance-weights",
        "Weights",
        curves,
        Axis("weight", log=curves.spans),
        summary,
        reading,
        marks=[Guide(y=1.0)],
        events=_events(record),
    )


def _control(record: BalanceFindings) -> Markup | None:
    curves = _curves(record, record.control)
    means = _means(curves)
    leader = max(means, key=lambda name: means[name], default="")
    summary = (
        "The share of each goal in the step: the length of its weighted gradient over the sum of"
        f" all. {plain(leader)} had most, {percent(means.get(leader))} on average."
    )
    return timeline(
        "balance-control",
        "Control",
        curves,
        Axis("share of the step", 0.0, 1.0, kind="percent"),
        summary,
        "The dotted line is an equal share.",
        marks=[Guide(y=1 / len(record.goals))],
        events=_events(record),
        text=percent,
    )


def _pairs(record: BalanceFindings) -> Markup | None:
    """The cosines of the most opposed pairs over the steps."""
    matrices = record.cosines[: len(record.cosine_step)]
    pairs = list(combinations(range(min(len(record.goals), _MOST_GOALS)), 2))
    values = {pair: [_entry(matrix, *pair) for matrix in matrices] for pair in pairs}
    means = {pair: mean for pair in pairs if (mean := _mean(values[pair])) is not None}
    if not means:
        return None
    # the most opposed first: that two goals agree is no news
    order = sorted(means, key=lambda pair: means[pair])
    worst = order[0]
    names = [plain(record.goals[index]) for index in worst]
    known = [value for value in values[worst] if value is not None]
    summary = (
        f"The cosine between two goals' gradients. Most opposed: {names[0]} and {names[1]},"
        f" {number(means[worst], 2)} on average, below zero in"
        f" {percent(sum(value < 0 for value in known) / len(known))} of the records."
    )
    reading = "At 1 two goals pull the same way, at −1 against each other."
    rest = len(order) - _MOST_PAIRS
    more = left_out(rest, "less opposed pair", "drawn")
    halves = [shorten(name, _HALF_NAME) for name in record.goals]
    drawn = {f"{halves[i]}, {halves[j]}": values[i, j] for i, j in order[:_MOST_PAIRS]}
    return timeline(
        "balance-pairs",
        "Who pulls with whom",
        Curves.of(record.cosine_step[: len(matrices)], drawn),
        Axis("cosine", -1.0, 1.0),
        summary,
        reading,
        more,
        marks=[Guide(y=0.0)],
        events=_events(record),
    )


def _entry(matrix: Sequence[Sequence[float | None]], row: int, column: int) -> float | None:
    if row >= len(matrix) or column >= len(matrix[row]):
        return None
    value = finite(matrix[row][column])
    # rounding may leave a cosine just beyond 1
    return None if value is None else min(max(value, -1.0), 1.0)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _matrices(record: BalanceFindings) -> Markup | None:
    """All cosines at the start, in the middle and at the end; of many goals only at the end."""
    size = min(len(record.goals), _MOST_GOALS)
    pairs = list(combinations(range(size), 2))
    indices = [
        index
        for index, matrix in enumerate(record.cosines[: len(record.cosine_step)])
        if any(_entry(matrix, *pair) is not None for pair in pairs)
    ]
    if not indices:
        return None
    chosen = sorted({indices[0], indices[len(indices) // 2], indices[-1]})
    # a matrix grows with the square of the goals: of many only the last is drawn
    chosen = chosen[-max(_MOST_CELLS // size**2, 1) :]
    figures = [(f"balance-cosines-{index}", _matrix(record, index, size)) for index in chosen]
    steps = listing([f"{record.cosine_step[index]:,}" for index in chosen])
    summary = f"The cosines between all goals' gradients at step {steps}."
    reading = "A stronger colour is further from 0; the second colour is below 0."
    return card("All goals against all", figures, summary, reading)


def _matrix(record: BalanceFindings, index: int, size: int) -> Figure:
    names = [short(name) for name in record.goals[:size]]
    shade = [[_entry(record.cosines[index], i, j) for j in range(size)] for i in range(size)]
    # rounded first: to a reader a cosine of 0.0004 is 0
    texts = [[number(value and round(value, 2), 2) for value in row] for row in shade]
    step = f"step {record.cosine_step[index]:,}"
    return Figure(
        f"Cosines at {step}",
        [Cells(shade, texts)],
        Axis(step, names=names),
        Axis(names=names),
        description=f"The cosines between the goals' gradients at {step}.",
        height=105 + 24 * size,
    )


def _alarms(record: BalanceFindings) -> Markup:
    if not record.alarms:
        return tag("p", None, "The monitor raised no alarm.")
    headings = [
        Heading("step", "amount"),
        Heading("alarm", "name"),
        Heading("goals", "text"),
        Heading("what it means", "text"),
        Heading("what helps", "text"),
    ]
    rows = [
        [
            sized(f"{alarm.step:,}", alarm.step),
            plain(alarm.kind),
            listing([short(name) for name in alarm.goals], 4),
            alarm.sentence[:300],
            alarm.remedy[:300],
        ]
        for alarm in record.alarms[:_MOST_ALARMS]
    ]
    summary = f"{amount(len(record.alarms), 'alarm')} of the monitor, marked in the figures."
    if len(record.alarms) > _MOST_ALARMS:
        summary += f" The first {_MOST_ALARMS} are listed."
    return table(summary, headings, rows)
