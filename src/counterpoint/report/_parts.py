"""The pieces of a page that sections are made of: cards, tables, names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report._words import amount
from counterpoint.report.figures import Figure, finite
from counterpoint.report.figures._text import shorten

_LONGEST_NAME = 90
_UNBROKEN = 16
_BRIEF = 40


@dataclass(frozen=True)
class Section:
    """One part of the page: where it is linked to, what it is called, what it holds."""

    anchor: str
    title: str
    body: Markup
    lead: str = ""

    def html(self) -> Markup:
        """The section element with its heading."""
        heading = f"{self.anchor}-heading"
        return tag(
            "section",
            {"id": self.anchor, "aria-labelledby": heading},
            tag("h2", {"id": heading}, named(self.title)),
            tag("p", {"class": "lead"}, self.lead) if self.lead else "",
            self.body,
        )


def within(sections: Sequence[Section], most: int) -> list[Section]:
    """The sections as long as they fit in so many bytes; of the others the headings alone."""
    size, fitting = 0, list[Section]()
    for section in sections:
        # bytes, not characters: a name in Chinese takes three each
        length = len(section.html().encode())
        if size + length > most:
            text = "Left out, because the page would be too large."
            section = replace(section, body=tag("p", None, text), lead="")
            length = len(section.html().encode())
        fitting.append(section)
        size += length
    return fitting


def named(text: str) -> Markup:
    """A name from the table: cut when very long, isolated so that its direction stays its own."""
    # without bdi a Hebrew name would turn the words after it around
    return tag("bdi", None, *_breakable(plain(text)))


def _breakable(text: str) -> list[str]:
    """A long name with places to break it at: behind underscores, before it breaks anywhere."""
    if len(text) <= _UNBROKEN or "_" not in text:
        return [text]
    first, *others = text.split("_")
    return [first, *(part for other in others for part in ("_", tag("wbr"), other) if part)]


def plain(text: str) -> str:
    """A name inside a sentence or a cell; at most 90 characters."""
    return shorten(text, _LONGEST_NAME)


def brief(text: str) -> str:
    """A name where there may be thousands: under the pointer; at most 40 characters."""
    return shorten(text, _BRIEF)


def _paragraph(*parts: str) -> Markup:
    """Sentences, the empty ones left out."""
    return tag("p", None, join([part for part in parts if part], between=" "))


def card(
    title: str, figures: Sequence[tuple[str, Figure]], *sentences: str, below: str = ""
) -> Markup:
    """A titled figure (or several, each with an identifier of its own) and how to read it."""
    return tag(
        "figure",
        {"class": "card"},
        tag("h3", None, title),
        *(figure.svg(identifier) for identifier, figure in figures),
        tag("figcaption", None, _paragraph(*sentences)),
        below,
    )


def text_card(title: str, *contents: str) -> Markup:
    """A titled card without a figure."""
    return tag("div", {"class": "card"}, tag("h3", None, title), *contents)


def note_box(notes: Sequence[str], label: str, most: int, longest: int) -> Markup:
    """Remarks in a box of their own, the first ones; nothing without any."""
    if not notes:
        return Markup("")
    items = [tag("li", None, note[:longest]) for note in notes[:most]]
    if len(notes) > most:
        items.append(tag("li", None, amount(len(notes) - most, "more note")))
    return tag("aside", {"class": "note-box", "aria-label": label}, tag("ul", None, *items))


def figures_table(headings: Sequence[str], rows: Sequence[Markup], below: str = "") -> Markup:
    """A small table of numbers inside a card: names first, then amounts, and a remark below."""
    styles = [None, *["amount"] * (len(headings) - 1)]
    head = [
        tag("th", {"scope": "col", "class": style}, text)
        for text, style in zip(headings, styles, strict=True)
    ]
    body = [tag("tbody", None, *rows)] if rows else []
    inside = tag("thead", None, tag("tr", None, *head))
    return join(
        [tag("table", {"class": "mini"}, inside, *body), tag("p", None, below) if below else ""]
    )


def grid(cards: Sequence[Markup]) -> Markup:
    """Cards side by side where there is room."""
    return tag("div", {"class": "grid-2"}, *cards)


@dataclass(frozen=True)
class Heading:
    """A column of a table: its name, and how its cells are set."""

    text: str
    kind: Literal["name", "text", "amount", "value-cell", "plain"] = "plain"
    sorts: bool = True


@dataclass(frozen=True)
class _Amount:
    text: str
    value: float | None


Cell: TypeAlias = "str | _Amount"


def sized(text: str, value: float | None) -> Cell:
    """A cell that shows a text and sorts by a number."""
    return _Amount(text, value)


def table(caption: str, headings: Sequence[Heading], rows: Sequence[Sequence[Cell]]) -> Markup:
    """A table in a box of its own, so that a wide one scrolls without the page."""
    head = tag("tr", None, *(_head(heading) for heading in headings))
    body = [tag("tr", None, *map(_cell, headings, row)) for row in rows]
    inside = tag(
        "table",
        {"class": "sortable"},
        tag("thead", None, head),
        tag("tbody", None, *body),
    )
    box = {
        "class": "scroll tall" if len(rows) > 30 else "scroll",
        # what scrolls has to be reached from the keyboard too
        "tabindex": "0",
        "role": "region",
        "aria-label": shorten(caption, 80),
    }
    return join([tag("div", box, inside), tag("p", {"class": "caption"}, caption)])


def _head(heading: Heading) -> Markup:
    style = _style(heading)
    return tag(
        "th", {**style, "scope": "col", "data-still": None if heading.sorts else ""}, heading.text
    )


def _cell(heading: Heading, cell: Cell) -> Markup:
    attributes: Mapping[str, str | float | None] = _style(heading)
    if isinstance(cell, _Amount):
        value = finite(cell.value)
        # what the script sorts by: a text would be sorted letter by letter
        attributes = {**attributes, "data-v": "" if value is None else f"{value:.9g}"}
        cell = cell.text
    if heading.kind == "name":
        # the header of its row, which a screen reader says with every cell
        return tag("th", {**attributes, "scope": "row"}, cell)
    return tag("td", attributes, cell)


def _style(heading: Heading) -> dict[str, str | float | None]:
    return {"class": None if heading.kind == "plain" else heading.kind}
