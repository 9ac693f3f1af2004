"""Several figures in one SVG file."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from counterpoint.errors import InputError
from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._figure import Figure
from counterpoint.report.figures._styles import styles
from counterpoint.report.figures._text import fit

_EDGE, _APART, _TITLE = 12.0, 18.0, 26.0


def sheet(figures: Sequence[Figure], across: int = 2) -> str:
    """An SVG file of its own: figures side by side, each under its title, light and dark.

    They stand on a card of the page's colour, so that any page may hold the file. A column is as
    wide as its widest figure, a line as high as its highest.

    Args:
        figures: in reading order.
        across: figures a line.

    Raises:
        InputError: there is no figure, or `across` is below 1.

    >>> from counterpoint.report.figures import Line
    >>> text = sheet([Figure("up", [Line([0, 1], [0, 1])]), Figure("down", [Line([0, 1], [1, 0])])])
    >>> text.startswith("<svg xmlns="), text.count(">up<"), text.count("<style>")
    (True, 3, 1)
    """
    if not figures or across < 1:
        raise InputError(
            "sheet: at least one figure, and one across, are needed, "
            f"found {len(figures)} figure(s), {across} across"
        )
    columns = [
        max(figure.width for figure in figures[i::across]) for i in range(across)[: len(figures)]
    ]
    lines = [
        max(figure.height for figure in figures[start : start + across]) + _TITLE
        for start in range(0, len(figures), across)
    ]
    lefts, tops = _starts(columns), _starts(lines)
    width, height = lefts[-1] - _APART + _EDGE, tops[-1] - _APART + _EDGE
    size = {"width": width, "height": height}
    opening = {
        "xmlns": "http://www.w3.org/2000/svg",
        "class": "figure",
        **size,
        # without it a viewer that scales the file would cut it
        "viewBox": f"0 0 {width:g} {height:g}",
    }
    # SVG is transparent: on a dark page dark texts would stand on nothing
    card = tag("rect", {**size, "rx": 8, "style": "fill: var(--card)"})
    corners = [(lefts[index % across], tops[index // across]) for index in range(len(figures))]
    return tag("svg", opening, styles(), card, join(_placed(figures, corners))) + "\n"


def _starts(sizes: Sequence[float]) -> list[float]:
    """Where each begins; the last is where one more would."""
    return list(accumulate((size + _APART for size in sizes), initial=_EDGE))


def _placed(figures: Sequence[Figure], corners: Sequence[tuple[float, float]]) -> Iterator[Markup]:
    for number, (figure, (x, y)) in enumerate(zip(figures, corners, strict=True)):
        style = "font-size: 13px; font-weight: 600"
        text = {"class": "legend", "x": x + 4, "y": y + 14, "style": style}
        yield tag("text", text, fit(figure.title, figure.width - 8, 13.0))
        # nested, so that each figure keeps coordinates of its own
        at = {"x": x, "y": y + _TITLE, "width": figure.width, "height": figure.height}
        yield tag("svg", at, figure.svg(f"figure-{number}"))
