"""Bars: of a histogram (upright), and of a list of named values (lying)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._mark import Frame, LegendEntry, Tone, Values, hover, polyline


@dataclass(frozen=True)
class Histogram:
    """Upright bars of height `y` between neighbouring `edges` (one more than bars).

    Args:
        edges: where bars begin and end, ascending.
        y: heights; None is a gap.
        tips: what the pointer shows, one a bar, or none.
        label: for the legend.
        tone: colour.
    """

    edges: Sequence[float]
    y: Values
    tips: Sequence[str] = ()
    label: str = ""
    tone: Tone = "one"

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """The edges; the heights and zero."""
        # bars are compared by length, so their foot has to be in the picture
        return self.edges, [0.0, *self.y]

    def legend(self) -> Sequence[LegendEntry]:
        """The label."""
        return [(self.label, self.tone, "bar")] if self.label else []

    def draw(self, frame: Frame) -> Markup:
        """One rectangle a bar, a hair apart."""
        base = frame.y.nearest(0.0)
        return join(self._bar(frame, base, index) for index in range(len(self.y)))

    def _bar(self, frame: Frame, base: float, index: int) -> Markup:
        left, right = frame.x(self.edges[index]), frame.x(self.edges[index + 1])
        top = frame.y(self.y[index])
        if left is None or right is None or top is None:
            return Markup("")
        # a quarter at most, or of thin bars nothing would be left
        apart = min(1.0, (right - left) / 4)
        box = {"x": left + apart / 2, "width": right - left - apart}
        box |= {"y": min(top, base), "height": abs(base - top)}
        tip = hover(self.tips[index] if self.tips else None)
        return tag("rect", {"class": f"bar {self.tone}", **box}, tip)


@dataclass(frozen=True)
class RowBars:
    """Lying bars from zero to each value, the first at the top, with whiskers of `± spread`.

    The figure's y axis needs `names` (one a bar): bar number i lies at y = i. A `label` is for the
    legend, where bars of several tones lie in one figure.
    """

    values: Values
    spread: Values = ()
    tips: Sequence[str] = ()
    label: str = ""
    tone: Tone = "one"

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """Zero, the values and the ends of the whiskers."""
        return [0.0, *self.values, *self._ends()], ()

    def legend(self) -> Sequence[LegendEntry]:
        """The label; the axis names the bars."""
        return [(self.label, self.tone, "bar")] if self.label else []

    def draw(self, frame: Frame) -> Markup:
        """One rectangle a bar, then the whiskers in one path."""
        thick = min(14.0, abs(frame.y.end - frame.y.start) / max(len(self.values), 1) * 0.62)
        bars = [self._bar(frame, index, thick) for index in range(len(self.values))]
        whiskers: list[tuple[float | None, float | None]] = []
        ends = self._ends()
        for index in range(len(ends) // 2):
            down = frame.y(float(index))
            left, right = frame.x(ends[2 * index]), frame.x(ends[2 * index + 1])
            if left is not None and right is not None:
                whiskers += [(left, down), (right, down), (None, None)]
        return join([*bars, tag("path", {"class": "whisker", "d": polyline(whiskers)})])

    def _ends(self) -> list[float | None]:
        ends: list[float | None] = []
        for value, spread in zip(self.values, self.spread, strict=bool(self.spread)):
            if value is None or spread is None:
                ends += [None, None]
            else:
                ends += [value - spread, value + spread]
        return ends

    def _bar(self, frame: Frame, index: int, thick: float) -> Markup:
        zero, end, middle = frame.x.nearest(0), frame.x(self.values[index]), frame.y(float(index))
        if end is None or middle is None:
            return Markup("")
        # a bar of no length would not be seen, and not be found by the pointer
        box = {"x": min(zero, end), "width": max(abs(end - zero), 0.8)}
        box |= {"y": middle - thick / 2, "height": thick}
        tip = hover(self.tips[index] if self.tips else None)
        return tag("rect", {"class": f"bar {self.tone}", "rx": 1.5, **box}, tip)
