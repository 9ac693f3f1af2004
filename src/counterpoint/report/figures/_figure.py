"""A figure: marks over two axes, as SVG that a page can hold or a file can be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._axis import (
    Axis,
    Tick,
    across,
    draw_across,
    draw_upward,
    turns,
    upward,
)
from counterpoint.report.figures._mark import Frame, LegendEntry, Mark
from counterpoint.report.figures._scale import Scale, extent
from counterpoint.report.figures._styles import styles
from counterpoint.report.figures._text import fit, text_width

_WIDEST_NAME = 130.0
_PLAIN = Axis()


@dataclass(frozen=True)
class Figure:
    """Marks drawn one over the other on the same two axes.

    Args:
        title: what is shown, in a few words (the SVG's `title`).
        marks: the layers, the lowest first.
        x: the horizontal axis.
        y: the vertical axis; with `names` the first name is on top.
        description: what a reader who cannot see it should know (the SVG's `desc`).
        width: in user units (about CSS pixels).
        height: in user units.
        margin: how far the axes reach beyond the marks, as a share of their range.
        left: where the plot begins at least; the same in figures one under the other.

    >>> from counterpoint.report.figures import Line
    >>> figure = Figure("a square", [Line([0, 1, 2], [0, 1, 4])])
    >>> figure.svg("square")[:32]
    '<svg id="square" class="figure" '
    """

    title: str
    marks: Sequence[Mark]
    x: Axis = _PLAIN
    y: Axis = _PLAIN
    description: str = ""
    width: float = 350.0
    height: float = 260.0
    margin: float = 0.03
    left: float = 0.0

    def svg(self, identifier: str) -> Markup:
        """The figure as an `<svg>` element for a page that has the figures' styles.

        Args:
            identifier: unique in the page; letters, digits and hyphens.
        """
        entries = [entry for mark in self.marks for entry in mark.legend()]
        frame, ticks = self._frame(entries)
        attributes = {
            "id": identifier,
            "class": "figure",
            "viewBox": f"0 0 {self.width:g} {self.height:g}",
            "role": "img",
            "aria-labelledby": f"{identifier}-title {identifier}-desc",
        }
        return tag(
            "svg",
            attributes,
            tag("title", {"id": f"{identifier}-title"}, self.title[:300]),
            tag("desc", {"id": f"{identifier}-desc"}, (self.description or self.title)[:1000]),
            _legend(entries, self.width),
            draw_upward(self.y, frame, ticks),
            draw_across(self.x, frame, across(self.x, frame)),
            self._labels(frame, entries),
            *(mark.draw(frame) for mark in self.marks),
        )

    def document(self) -> str:
        """The figure as an SVG file of its own, light and dark, its styles inside."""
        inside = self.svg("figure")
        # outside a page the element needs its namespace, or no viewer draws it
        opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" '
        body = inside.replace("<svg ", opening, 1)
        return body.replace("</desc>", f"</desc>{styles()}", 1) + "\n"

    def _frame(self, entries: Sequence[LegendEntry]) -> tuple[Frame, list[Tick]]:
        """The scales, and the ticks of the y axis, whose texts decide where the plot begins."""
        reach = [mark.reach() for mark in self.marks]
        x = self.x.range(_extent((part[0] for part in reach), self.x), self.margin)
        y = self.y.range(_extent((part[1] for part in reach), self.y), self.margin)
        # 18 units a line of the legend, and 21 for the label above the axis: no text is turned
        top = 8.0 + 18 * _legend_rows(entries, self.width) + (21 if self.y.label else 0)
        # about the width of the plot, whose left end is known only after the ticks
        flat = self.width - 80
        below = 24.0 + (18 if self.x.label else 0) - (18 if self.x.hidden else 0)
        below += 42 if self.x.names is not None and turns(self.x, flat) else 0
        bottom = self.height - below
        # SVG counts downwards: the low end of the axis is at the larger position
        up = Scale(y[0], y[1], bottom, top, self.y.log)
        if self.y.names is not None:
            up = Scale(y[0], y[1], top, bottom)
        ticks = upward(self.y, up.ticks(max(2, round((bottom - top) / 38))))
        ticks = [(value, fit(text, _WIDEST_NAME)) for value, text in ticks]
        # the widest tick text decides, so that none is cut
        left = max(self.left, 10 + max((text_width(text) for _, text in ticks), default=-4.0))
        return Frame(Scale(x[0], x[1], left, self.width - 14, self.x.log), up), ticks

    def _labels(self, frame: Frame, entries: Sequence[LegendEntry]) -> Markup:
        middle = (frame.x.start + frame.x.end) / 2
        shown = fit(self.x.label, self.width - 20), fit(self.y.label, self.width - 20)
        above = 18 * _legend_rows(entries, self.width) + 15
        below = {"class": "axis-text middle", "x": middle, "y": self.height - 5}
        beside = {"class": "axis-text", "x": 4, "y": above}
        pairs = zip((below, beside), shown, strict=True)
        return join([tag("text", place, text) for place, text in pairs if text])

    def resized(self, width: float, height: float) -> "Figure":
        """The same figure at another size (user units)."""
        return replace(self, width=width, height=height)


def _extent(parts: Iterable[Iterable[float | None]], axis: Axis) -> tuple[float, float]:
    return extent((value for part in parts for value in part), log=axis.log)


def _rows(entries: Sequence[LegendEntry], width: float) -> list[tuple[float, int, LegendEntry]]:
    """Where each entry of the legend stands: its left end and its line."""
    placed: list[tuple[float, int, LegendEntry]] = []
    left, line = 4.0, 0
    for label, tone, shape in entries:
        label = fit(label, width - 40)
        wide = 34 + text_width(label)
        # the first entry of a line stays, however wide: it was cut to fit
        if left > 4 and left + wide > width:
            left, line = 4.0, line + 1
        placed.append((left, line, (label, tone, shape)))
        left += wide
    return placed


def _legend_rows(entries: Sequence[LegendEntry], width: float) -> int:
    return max((line + 1 for _, line, _ in _rows(entries, width)), default=0)


def _legend(entries: Sequence[LegendEntry], width: float) -> Markup:
    parts: list[Markup] = []
    for left, line, (label, tone, shape) in _rows(entries, width):
        middle = 10.0 + 18 * line
        parts.append(_swatch(left, middle, tone, shape))
        parts.append(tag("text", {"class": "legend", "x": left + 21, "y": middle + 4}, label))
    return join(parts)


def _swatch(left: float, middle: float, tone: str, shape: str) -> Markup:
    if shape == "dot":
        return tag("circle", {"class": f"dot {tone}", "cx": left + 8, "cy": middle, "r": 3.2})
    if shape in ("area", "bar"):
        box = {"x": left, "y": middle - 4.5, "width": 16, "height": 9}
        return tag("rect", {"class": f"{shape} {tone}", **box})
    style = f"line {'dash ' if shape == 'dash' else ''}{tone}"
    return tag("path", {"class": style, "d": f"M{left:g} {middle:g}h16"})
