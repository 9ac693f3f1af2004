"""Where the model knows least: the held-out rows least like those it has seen."""

from collections.abc import Sequence

from counterpoint.findings import Findings, KnownLeast
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._parts import Cell, Heading, Section, brief, named, plain, sized, table
from counterpoint.report._words import ABSENT, amount, left_out, number, sentences
from counterpoint.report.sections._importance import ranked

_MOST_ROWS = 10
_MOST_VALUES = 5
_MOST_TARGETS = 10


def known_least(findings: Findings) -> Section | None:
    """A table a target; None when there is none."""
    tables = [item for item in findings.known_least if item.row][:_MOST_TARGETS]
    if not tables:
        return None
    lead = (
        "Held-out rows whose prediction would change most with other training rows. Knowledge is a"
        " standard deviation in the target's unit (for a category: of its probability); noise is"
        " not in it. Such rows are the ones to collect more of and to check by hand."
    )
    body = join([_table(findings, item) for item in tables])
    return Section("known-least", "Where the model knows least", body, lead)


def _table(findings: Findings, least: KnownLeast) -> Markup:
    columns, left = _columns(findings, least)
    headings = [
        Heading("row", "amount"),
        Heading("missing knowledge", "amount"),
        Heading("predicted", "amount"),
        Heading("actual", "amount"),
        *(Heading(named(column), "value-cell") for column in columns),
    ]
    size = min(len(least.row), _MOST_ROWS)
    rows = [_row(least, index, columns) for index in range(size)]
    caption = f"{plain(least.target)}: the {amount(size, 'row')} of which least is known."
    caption = sentences(caption, left_out(left, "more column"))
    heading = tag("h3", {"class": "table-title"}, named(least.target))
    return join([heading, table(caption, headings, rows)])


def _row(least: KnownLeast, index: int, columns: Sequence[str]) -> list[Cell]:
    knowledge = least.knowledge[index] if index < len(least.knowledge) else None
    values = least.values[index] if index < len(least.values) else {}
    return [
        sized(f"{least.row[index]:,}", least.row[index]),
        sized(number(knowledge, 3), knowledge),
        _text(least.prediction, index),
        _text(least.actual, index),
        *(brief(values.get(column) or ABSENT) for column in columns),
    ]


def _text(texts: Sequence[str], index: int) -> str:
    return brief(texts[index]) if index < len(texts) else ABSENT


def _columns(findings: Findings, least: KnownLeast) -> tuple[list[str], int]:
    """The columns to show, those that matter most for the target first; how many are left out."""
    present = list(dict.fromkeys(column for values in least.values for column in values))
    # a row has too many values to show; those that the target hangs on say why it is strange
    order = {item.column: rank for rank, item in enumerate(ranked(findings, least.target))}
    present.sort(key=lambda column: order.get(column, len(order)))
    return present[:_MOST_VALUES], max(len(present) - _MOST_VALUES, 0)
