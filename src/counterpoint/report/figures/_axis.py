"""Axes: what they are called, which values they must show, and how they are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._mark import Frame
from counterpoint.report.figures._text import TickKind, fit, text_width, tick_texts

Tick = tuple[float, str]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Args:
        label: what it measures, with the unit.
        low: where it begins; from the marks when None.
        high: where it ends; from the marks when None.
        log: logarithmic; values that are not positive are gaps.
        kind: how ticks are written: numbers, whole numbers, or shares as per cent.
        names: names at 0, 1, 2, … instead of numbers.
        hidden: draw neither ticks nor grid.
    """

    label: str = ""
    low: float | None = None
    high: float | None = None
    log: bool = False
    kind: TickKind = "number"
    names: Sequence[str] | None = None
    hidden: bool = False

    def range(self, found: tuple[float, float], margin: float) -> tuple[float, float]:
        """Where the axis begins and ends, given the marks' lowest and highest value."""
        if self.names is not None:
            # half a place on either side, so that bars and cells are whole
            return -0.5, max(len(self.names), 1) - 0.5
        low, high = found
        if self.log:
            # a share of a logarithmic range is a factor
            apart = (high / low) ** margin
            low, high = low / apart, high * apart
        else:
            low, high = low - margin * (high - low), high + margin * (high - low)
        low = self.low if self.low is not None else low
        high = self.high if self.high is not None else high
        # limits set by hand may leave nothing between, and a scale divides by its range
        return (low, high) if low < high else (low, low + 1.0)


def across(axis: Axis, frame: Frame) -> list[Tick]:
    """The ticks of an x axis, as many as there is room for."""
    if axis.hidden:
        return []
    if axis.names is not None:
        return [(float(index), name) for index, name in enumerate(axis.names)]
    # a number of seven digits is about 56 units wide
    return _numbered(axis, frame.x.ticks(max(2, round((frame.x.end - frame.x.start) / 56))))


def upward(axis: Axis, ticks: Sequence[float]) -> list[Tick]:
    """The ticks of a y axis."""
    if axis.hidden:
        return []
    if axis.names is not None:
        return [(float(index), name) for index, name in enumerate(axis.names)]
    return _numbered(axis, ticks)


def _numbered(axis: Axis, ticks: Sequence[float]) -> list[Tick]:
    if axis.kind == "whole":
        # there is no epoch 2.5
        ticks = [tick for tick in ticks if float(tick).is_integer()]
    return list(zip(ticks, tick_texts(ticks, axis.kind), strict=True))


def draw_across(axis: Axis, frame: Frame, ticks: Sequence[Tick]) -> Markup:
    """The x axis: base line, tick texts (turned where they are too wide), label."""
    base, parts = frame.bottom, list[Markup]()
    turned = axis.names is not None and turns(axis, frame.x.end - frame.x.start)
    for value, text in ticks:
        at = frame.x(value)
        if at is None:
            continue
        if axis.names is None:
            parts.append(
                tag("line", {"class": "tick", "x1": at, "x2": at, "y1": base, "y2": base + 4})
            )
        parts.append(_name(at, base, text, turned=turned))
    ends = {"x1": frame.x.start, "x2": frame.x.end, "y1": base, "y2": base}
    line = [] if axis.names is not None or axis.hidden else [tag("line", {"class": "axis", **ends})]
    return join([*line, *parts])


def turns(axis: Axis, width: float) -> bool:
    """Whether an x axis's names are too wide to stand side by side."""
    names = axis.names or ()
    return any(text_width(name) > width / len(names) - 4 for name in names)


def _name(x: float, base: float, text: str, *, turned: bool) -> Markup:
    if not turned:
        return tag("text", {"class": "tick-text middle", "x": x, "y": base + 17}, text)
    turn = f"rotate(-40 {x + 3:.1f} {base + 12:.1f})"
    position = {"x": x + 3, "y": base + 12, "transform": turn}
    return tag("text", {"class": "tick-text end", **position}, fit(text, 76))


def draw_upward(axis: Axis, frame: Frame, ticks: Sequence[Tick]) -> Markup:
    """The y axis: grid lines and tick texts."""
    parts: list[Markup] = []
    for value, text in ticks:
        at = frame.y(value)
        if at is None:
            continue
        if axis.names is None:
            ends = {"x1": frame.x.start, "x2": frame.x.end, "y1": at, "y2": at}
            parts.append(tag("line", {"class": "grid", **ends}))
        position = {"x": frame.x.start - 6, "y": at + 4}
        parts.append(tag("text", {"class": "tick-text end", **position}, text))
    return join(parts)
