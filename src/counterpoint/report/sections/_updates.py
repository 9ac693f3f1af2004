"""What was learnt since the fit: one line an update, and the newest updates in full."""

from counterpoint.findings import Findings, UpdateFindings
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._parts import (
    Cell,
    Heading,
    Section,
    grid,
    named,
    note_box,
    plain,
    sized,
    table,
)
from counterpoint.report._words import ABSENT, amount, day, duration, left_out, percent, sentences
from counterpoint.report.figures import finite
from counterpoint.report.sections._changes import forgotten, learnt
from counterpoint.report.sections._moved import moved_card, moved_table

_MOST_LISTED = 100
_MOST_IN_FULL = 3
_MOST_NOTES = 10
_LONGEST_NOTE = 400


def updates(findings: Findings) -> Section | None:
    """A table of the updates, newest first, and the newest three in full; None without any."""
    # the number an update has stays its own, also where only the newest are shown
    newest = list(enumerate(findings.updates, start=1))[::-1]
    if not newest:
        return None
    # what the model is today comes first, how it got there after
    parts = [*(_update(*pair) for pair in newest[:_MOST_IN_FULL]), _listed(newest)]
    return Section("updates", "What was learnt since", join(parts), _lead(findings.updates))


def _lead(every: list[UpdateFindings]) -> str:
    rows = sum(update.rows for update in every)
    verb = "has" if len(every) == 1 else "have"
    text = (
        f"{amount(len(every), 'update')} {verb} taught the model {amount(rows, 'row')} since the"
        " fit. Every other section shows the fit as it was, before any update."
    )
    if len(every) > _MOST_IN_FULL:
        text += f" The newest {_MOST_IN_FULL} are shown in full."
    return text


def _listed(newest: list[tuple[int, UpdateFindings]]) -> Markup:
    headings = [
        Heading("update", "amount"),
        Heading("when", "value-cell"),
        Heading("table", "name"),
        Heading("rows", "amount"),
        Heading("what was trained", "value-cell"),
        Heading("forgotten on purpose", "amount"),
        Heading("columns moved", "amount"),
    ]
    caption = (
        "Newest first. Forgotten on purpose is a share of what all earlier rows say. A column moved"
        " where its values differ from those of earlier rows by more than chance."
    )
    left = len(newest) - _MOST_LISTED
    caption = sentences(caption, left_out(left, "older update", "listed"))
    return table(caption, headings, [_line(*pair) for pair in newest[:_MOST_LISTED]])


def _line(number: int, update: UpdateFindings) -> list[Cell]:
    moved = sum(shift.moved for shift in update.shifts)
    return [
        sized(f"{number:,}", number),
        day(update.created) or ABSENT,
        named(update.name or ABSENT),
        sized(f"{update.rows:,}", update.rows),
        _kind(update),
        sized(percent(update.forget), update.forget),
        sized(f"{moved:,} of {len(update.shifts):,}" if update.shifts else ABSENT, moved),
    ]


def _kind(update: UpdateFindings) -> str:
    return "whole network" if update.deep else "last layer"


def _update(number: int, update: UpdateFindings) -> Markup:
    heading = [f"Update {number:,}", *([": ", named(update.name)] if update.name else [])]
    identifier = f"update-{number}-moved"
    cards = [learnt(update), forgotten(update), moved_card(update.shifts, identifier)]
    return join(
        [
            tag("h3", {"class": "part"}, *heading),
            tag("p", {"class": "lead"}, _summary(update)),
            grid(cards),
            moved_table(update.shifts, plain(update.name) or f"update {number:,}"),
            note_box(update.notes, f"Notes of update {number:,}", _MOST_NOTES, _LONGEST_NOTE),
        ]
    )


def _summary(update: UpdateFindings) -> str:
    trained = "the whole network" if update.deep else "the last layer alone"
    verb = "was" if update.rows == 1 else "were"
    text = f"{amount(update.rows, 'row')} {verb} learnt by {trained}"
    text += f", after {amount(update.earlier_rows, 'earlier row')}"
    text += f", in {duration(update.seconds)}" if finite(update.seconds) is not None else ""
    text += f" ({day(update.created)})." if update.created else "."
    forget = finite(update.forget)
    if forget:
        return f"{text} {percent(forget)} of what earlier rows say was forgotten on purpose."
    return text if forget is None else f"{text} Nothing was forgotten on purpose."
