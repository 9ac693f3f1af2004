"""Which columns matter: what shuffling each one costs."""

from counterpoint.findings import Findings, Importance
from counterpoint.report._markup import Markup, tag
from counterpoint.report._parts import Section, brief, card, grid, plain, text_card
from counterpoint.report._words import amount, left_out, listing, number
from counterpoint.report.figures import Axis, Figure, RowBars, finite

_MOST_COLUMNS = 15
_MOST_TARGETS = 10


def importance(findings: Findings) -> Section | None:
    """A bar a column and a target; None when nothing was measured."""
    names = list(dict.fromkeys(item.target for item in findings.importance))
    if not names:
        return None
    cards = [_card(findings, name, index) for index, name in enumerate(names[:_MOST_TARGETS])]
    lead = (
        "How much the loss on held-out rows rises when one column is shuffled, so that it no longer"
        " tells anything. Columns that say the same thing can stand in for each other: then none of"
        " them seems to matter."
    )
    return Section("importance", "Which columns matter", grid(cards), lead)


def ranked(findings: Findings, target: str) -> list[Importance]:
    """What was measured for a target, the most important column first."""
    own = [item for item in findings.importance if item.target == target]
    own = [item for item in own if finite(item.mean) is not None]
    return sorted(own, key=lambda item: -item.mean)


def _card(findings: Findings, target: str, index: int) -> Markup:
    items = ranked(findings, target)
    drawn = items[:_MOST_COLUMNS]
    title = f"For {plain(target)}"
    if not drawn:
        return text_card(title, tag("p", None, "No importance could be computed."))
    tips = [
        f"{brief(item.column)}\n{number(item.mean, 3)} ± {number(item.spread, 2)}" for item in drawn
    ]
    summary = _summary(items)
    figure = Figure(
        f"Importance of columns for {plain(target)}",
        [RowBars([item.mean for item in drawn], [item.spread for item in drawn], tips)],
        Axis("rise of the loss when shuffled"),
        Axis(names=[item.column for item in drawn]),
        description=summary,
        height=52 + 21 * len(drawn),
    )
    more = left_out(len(items) - len(drawn), "less important column", "drawn")
    reading = "The whisker is one standard deviation over repeated shuffles."
    return card(title, [(f"importance-{index}", figure)], summary, reading, more)


def _summary(items: list[Importance]) -> str:
    # two spreads of repeated shuffles: within that a column may as well be noise
    clear = [item for item in items if item.mean > 2 * (finite(item.spread) or 0.0)]
    unclear = len(items) - len(clear)
    if not clear:
        return "No column rises clearly above the spread of the shuffles."
    text = f"Most important: {listing([plain(item.column) for item in clear[:3]])}."
    if unclear:
        text += (
            f" {amount(unclear, 'column')} cannot be told from no effect (within two spreads of 0)."
        )
    return text
