"""What moved: how far each column's values in an update lie from those of all earlier rows."""

from collections.abc import Sequence

from counterpoint.findings import ShiftFindings
from counterpoint.report._markup import Markup, tag
from counterpoint.report._parts import (
    Cell,
    Heading,
    brief,
    card,
    named,
    plain,
    sized,
    table,
    text_card,
)
from counterpoint.report._words import ABSENT, amount, date, left_out, listing, number, percent
from counterpoint.report.figures import Axis, Figure, RowBars, finite

_MOST_COLUMNS = 20
_MOST_NAMED = 3
_MOST_LEVELS = 4
# Smaller p values are rounding of the distribution function, not evidence.
_TINY = 1e-16


def moved_card(shifts: Sequence[ShiftFindings], identifier: str) -> Markup:
    """A bar a column, the moved ones first and in another colour."""
    title = "What moved"
    drawn = _ranked(shifts)[:_MOST_COLUMNS]
    if not drawn:
        return text_card(title, tag("p", None, "No column was compared with earlier rows."))
    summary = _summary(shifts)
    figure = Figure(
        "How far each column moved",
        _bars(drawn),
        Axis("total variation distance", 0.0, 1.0),
        Axis(names=[shift.column for shift in drawn]),
        description=summary,
        height=70 + 21 * len(drawn),
    )
    reading = (
        "The total variation distance is 0 where new and earlier rows are alike and 1 where they"
        " have nothing in common. A column moved when it differs by more than chance, and not by"
        " a tiny amount."
    )
    return card(title, [(identifier, figure)], summary, reading, _rest(shifts, "drawn"))


def moved_table(shifts: Sequence[ShiftFindings], update: str) -> Markup:
    """The same columns in numbers: before, after, chance, new levels."""
    drawn = _ranked(shifts)[:_MOST_COLUMNS]
    if not drawn:
        return Markup("")
    headings = [
        Heading("column", "name"),
        Heading("moved"),
        Heading("distance", "amount"),
        Heading("p value", "amount"),
        Heading("measured by", "value-cell"),
        Heading("before", "amount"),
        Heading("after", "amount"),
        Heading("new levels", "text"),
    ]
    caption = (
        f"Columns of {update} against all earlier rows. The p value is of a test that both come"
        " from one distribution."
    )
    rest = _rest(shifts, "listed")
    return table(f"{caption} {rest}".rstrip(), headings, [_row(shift) for shift in drawn])


def _ranked(shifts: Sequence[ShiftFindings]) -> list[ShiftFindings]:
    """The moved columns first, then by distance; where none is known last."""
    # a small shift that is certain comes before a large one that may be chance
    return sorted(shifts, key=_order)


def _order(shift: ShiftFindings) -> tuple[bool, float]:
    distance = _distance(shift)
    return not shift.moved, 1.0 if distance is None else -distance


def _distance(shift: ShiftFindings) -> float | None:
    value = finite(shift.distance)
    return None if value is None else min(max(value, 0.0), 1.0)


def _bars(drawn: Sequence[ShiftFindings]) -> list[RowBars]:
    """Two layers of the same bars: those that moved, and the others."""
    tips = [_tip(shift) for shift in drawn]
    moved = [_distance(shift) if shift.moved else None for shift in drawn]
    others = [None if shift.moved else _distance(shift) for shift in drawn]
    layers: list[RowBars] = []
    if any(shift.moved for shift in drawn):
        layers.append(RowBars(moved, tips=tips, label="moved", tone="two"))
    if not all(shift.moved for shift in drawn):
        layers.append(RowBars(others, tips=tips, label="no more than chance, or tiny", tone="one"))
    return layers


def _tip(shift: ShiftFindings) -> str:
    said = " (moved)" if shift.moved else ""
    distance = number(_distance(shift), 3)
    return f"{brief(shift.column)}{said}\ndistance {distance}, p {_chance(shift.chance)}"


def _chance(value: float) -> str:
    known = finite(value)
    if known is not None and known < _TINY:
        return "< 10⁻¹⁶"
    return number(known, 2)


def _summary(shifts: Sequence[ShiftFindings]) -> str:
    moved = [plain(shift.column) for shift in _ranked(shifts) if shift.moved]
    compared = amount(len(shifts), "column")
    if not moved:
        return f"None of {compared} moved."
    return f"{len(moved):,} of {compared} moved: {listing(moved, _MOST_NAMED)}."


def _rest(shifts: Sequence[ShiftFindings], verb: str) -> str:
    return left_out(len(shifts) - _MOST_COLUMNS, "more column", verb)


def _row(shift: ShiftFindings) -> list[Cell]:
    mark = tag("span", {"class": "chip one"}, "moved") if shift.moved else ABSENT
    measured = "mean" if shift.level is None else f"share of {brief(shift.level) or ABSENT}"
    levels = [f"{brief(level) or ABSENT} ({rows:,})" for level, rows in shift.new.items()]
    return [
        named(shift.column),
        mark,
        sized(number(_distance(shift), 3), _distance(shift)),
        sized(_chance(shift.chance), shift.chance),
        tag("bdi", None, measured),
        sized(_value(shift, shift.before, shift.before_text), shift.before),
        sized(_value(shift, shift.after, shift.after_text), shift.after),
        listing(levels, _MOST_LEVELS) or ABSENT,
    ]


def _value(shift: ShiftFindings, value: float | None, text: str) -> str:
    known = finite(value)
    if known is None:
        return ABSENT
    if shift.level is not None:
        return percent(known)
    if shift.kind == "date":
        # a time of day is no date; folders of before have no text
        return plain(text) if text else date(known)
    return number(known)
