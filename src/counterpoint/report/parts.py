"""The pieces of a page that sections are made of: cards, tables, names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from counterpoint.report.figures import Figure, finite
from counterpoint.report.figures.text import shorten
from counterpoint.report.markup import Markup, join, tag

__all__ = [
    "Cell",
    "Heading",
    "Section",
    "brief",
    "card",
    "grid",
    "named",
    "paragraph",
    "plain",
    "sized",
    "table",
]

_LONGEST_NAME = 90
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
    return tag("bdi", None, plain(text))


def plain(text: str) -> str:
    """A name inside a sentence or a cell; at most 90 characters."""
    return shorten(text, _LONGEST_NAME)


def brief(text: str) -> str:
    """A name where there may be thousands: under the pointer; at most 40 characters."""
    return shorten(text, _BRIEF)


def paragraph(*parts: str) -> Markup:
    """Sentences, the empty ones left out."""
    return tag("p", None, join([part for part in parts if part], between=" "))


def card(
    title: str, figures: Sequence[tuple[str, Figure]], *sentences: str, below: str = ""
) -> Markup:
    """A titled figure (or several, one under the other) with a plain explanation below.

    Args:
        title: the heading.
        figures: identifier (unique in the page) and figure.
        sentences: how to read it; the empty ones are left out.
        below: more markup after the explanation.
    """
    return tag(
        "figure",
        {"class": "card"},
        tag("h3", None, title),
        *(figure.svg(identifier) for identifier, figure in figures),
        tag("figcaption", None, paragraph(*sentences)),
        below,
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
        attributes = {**attributes, "data-v": "" if value is None else f"{value:.9g}"}
        cell = cell.text
    if heading.kind == "name":
        return tag("th", {**attributes, "scope": "row"}, cell)
    return tag("td", attributes, cell)


def _style(heading: Heading) -> dict[str, str | float | None]:
    return {"class": None if heading.kind == "plain" else heading.kind}
