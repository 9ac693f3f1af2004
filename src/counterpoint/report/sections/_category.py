"""A target that is a category: whether probabilities are honest, and what is taken for what."""

from collections.abc import Sequence

from counterpoint.findings import ReliabilityCurve, TargetFindings
from counterpoint.report._markup import Markup
from counterpoint.report._parts import brief, card, plain
from counterpoint.report._statistics import wilson
from counterpoint.report._words import amount, number, percent
from counterpoint.report.figures import (
    Axis,
    Cells,
    Figure,
    Histogram,
    Line,
    Points,
    finite,
)

_MOST_CLASSES = 12


def category_cards(target: TargetFindings, anchor: str) -> list[Markup]:
    """The figures of one target: reliability with counts, and the confusion matrix."""
    cards: list[Markup] = []
    if target.reliability is not None and sum(target.reliability.count) > 0:
        cards.append(_reliability(target.reliability, anchor))
    if target.confusion:
        cards.append(_confusion(target.confusion, target.classes or [], anchor))
    return cards


def _reliability(curve: ReliabilityCurve, anchor: str) -> Markup:
    bins = _bins(curve)
    # Wilson: the normal interval of 5 out of 5 has no width
    ends = [wilson(right, count) for _, right, count in bins]
    tips = [
        f"confidence {percent(sure)}\nright {percent(right)}\n{amount(count, 'row')}"
        for sure, right, count in bins
    ]
    summary = _summary(curve, bins, ends)
    sure, right = [row[0] for row in bins], [row[1] for row in bins]
    line = Line([0.0, 1.0], [0.0, 1.0], "exact", "soft", dashed=True)
    low, high = [end[0] for end in ends], [end[1] for end in ends]
    points = Points(sure, right, low, high, 3.6, tips, "share right, with 95 % range", "one")
    above = Figure(
        "Reliability",
        [line, points],
        # labelled by the figure below, which has the same axis: `left` puts one above the other
        Axis("", 0.0, 1.0, kind="percent"),
        Axis("share that was right", 0.0, 1.0, kind="percent"),
        description=summary,
        height=225,
        left=52,
    )
    edges = [index / len(curve.count) for index in range(len(curve.count) + 1)]
    heights = [float(count) for count in curve.count]
    counted = [
        f"{percent(a)} to {percent(b)}\n{amount(c, 'row')}" for a, b, c in _spans(edges, curve)
    ]
    below = Figure(
        "Rows by confidence",
        [Histogram(edges, heights, counted, tone="soft")],
        Axis("confidence: probability of the predicted class", 0.0, 1.0, kind="percent"),
        Axis("rows", low=0.0, kind="whole"),
        height=115,
        left=52,
    )
    figures = [(f"{anchor}-reliability", above), (f"{anchor}-confidence", below)]
    reading = "Below the dashed line the model is surer than it should be, above it less sure."
    return card("Are the probabilities honest?", figures, summary, reading)


def _spans(edges: Sequence[float], curve: ReliabilityCurve) -> list[tuple[float, float, int]]:
    return list(zip(edges, edges[1:], curve.count, strict=False))


def _bins(curve: ReliabilityCurve) -> list[tuple[float, float, int]]:
    bins: list[tuple[float, float, int]] = []
    for sure, right, count in zip(curve.confidence, curve.accuracy, curve.count, strict=False):
        known, share = finite(sure), finite(right)
        if known is not None and share is not None and count > 0:
            bins.append((known, share, count))
    return bins[:100]


def _summary(
    curve: ReliabilityCurve, bins: list[tuple[float, float, int]], ends: list[tuple[float, float]]
) -> str:
    rows = sum(curve.count)
    text = f"{amount(rows, 'held-out row')}, grouped by how sure the model was."
    error = finite(curve.error)
    if error is not None:
        text += f" {calibration_sentence(error)}"
    missed = sum(
        not low <= sure <= high for (sure, _, _), (low, high) in zip(bins, ends, strict=True)
    )
    if bins and missed == 0:
        return f"{text} In every group the difference could be chance."
    if bins:
        text += f" In {missed} of {amount(len(bins), 'group')} it is more than chance explains."
    return text


def calibration_sentence(error: float) -> str:
    """The debiased calibration error in words."""
    if error <= 0:
        return "Confidence and share right differ no more than chance alone would make them."
    return (
        f"Confidence and share right differ by {percent(error)} (root mean square, with what"
        " chance adds taken off)."
    )


def _confusion(matrix: list[list[int]], classes: list[str], anchor: str) -> Markup:
    total = sum(map(sum, matrix))
    right = sum(row[index] for index, row in enumerate(matrix) if index < len(row))
    # a matrix may have more classes than names
    names = [*classes, *(f"class {index}" for index in range(len(classes), len(matrix)))]
    matrix, names, grouped = _largest(matrix, names)
    sums = [sum(row) for row in matrix]
    # by row, so that a rare class shows as much as a common one
    shade = [[_share(count, all_) for count in row] for row, all_ in zip(matrix, sums, strict=True)]
    tips = [
        [_tip(names, i, j, matrix, sums[i]) for j in range(len(row))]
        for i, row in enumerate(matrix)
    ]
    texts = [[f"{count:,}" for count in row] for row in matrix]
    summary = f"{percent(_share(right, total))} of {amount(total, 'row')} are on the diagonal."
    figure = Figure(
        "Confusion matrix",
        [Cells(shade, texts, tips)],
        Axis("predicted", names=names),
        Axis("actual", names=names),
        description=summary,
        height=150 + min(24 * len(names), 200) if len(names) > 4 else 260,
    )
    reading = (
        "Rows are what was, columns what was predicted; a darker cell is a larger share of its row."
    )
    rest = f"{amount(grouped, 'rarer class', 'rarer classes')} are added up as “other”."
    cards = [(f"{anchor}-confusion", figure)]
    return card(
        "What is taken for what",
        cards,
        reading,
        summary,
        _mixed(matrix, names),
        rest if grouped else "",
    )


def _share(count: int, total: int) -> float | None:
    return count / total if total > 0 else None


def _tip(names: Sequence[str], i: int, j: int, matrix: list[list[int]], total: int) -> str:
    # most cells of many classes are empty, and every tip costs its bytes
    if matrix[i][j] == 0:
        return ""
    share = percent(_share(matrix[i][j], total))
    return (
        f"actual {brief(names[i])}\npredicted {brief(names[j])}\n"
        f"{amount(matrix[i][j], 'row')}, {share} of the actual ones"
    )


def _largest(matrix: list[list[int]], names: list[str]) -> tuple[list[list[int]], list[str], int]:
    """The commonest classes, the others added up; how many were."""
    size = len(matrix)
    square = [[row[j] if j < len(row) else 0 for j in range(size)] for row in matrix]
    if size <= _MOST_CLASSES:
        return square, names[:size], 0
    order = sorted(range(size), key=lambda index: -sum(square[index]))
    kept = sorted(order[: _MOST_CLASSES - 1])
    row_of = {index: position for position, index in enumerate(kept)}
    # rare classes are added up rather than left out, so that rows still sum to what was
    small = [[0] * _MOST_CLASSES for _ in range(_MOST_CLASSES)]
    for i, row in enumerate(square):
        for j, count in enumerate(row):
            small[row_of.get(i, len(kept))][row_of.get(j, len(kept))] += count
    return small, [*(names[index] for index in kept), "other"], size - len(kept)


def _mixed(matrix: list[list[int]], names: Sequence[str]) -> str:
    """The commonest mistake, in words."""
    wrong = [
        (count, names[i], names[j])
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count > 0
    ]
    if not wrong:
        return "No row was taken for another class."
    count, was, said = max(wrong, key=lambda item: item[0])
    return f"The commonest mistake: {plain(was)} taken for {plain(said)} ({number(count)})."
