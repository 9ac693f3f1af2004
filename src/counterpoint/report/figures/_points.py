"""Points, with interval bars where there are any."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._mark import Frame, LegendEntry, Tone, Values, hover, polyline


@dataclass(frozen=True)
class Points:
    """A dot at each `(x, y)`, and a bar from `low` to `high` through it; None is left out.

    Args:
        x: horizontal values.
        y: vertical values.
        low: lower ends of the bars, or none.
        high: upper ends of the bars, or none.
        radius: of the dots, in user units; one for all, or one each.
        tips: what the pointer shows, one a dot, or none.
        label: for the legend.
        tone: colour.
    """

    x: Values
    y: Values
    low: Values = ()
    high: Values = ()
    radius: float | Sequence[float] = 2.6
    tips: Sequence[str] = ()
    label: str = ""
    tone: Tone = "one"

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """All values and the ends of the bars."""
        return self.x, [*self.y, *self.low, *self.high]

    def legend(self) -> Sequence[LegendEntry]:
        """The label."""
        return [(self.label, self.tone, "dot")] if self.label else []

    def draw(self, frame: Frame) -> Markup:
        """One path for all bars, then the dots."""
        # all bars in one path: 1,500 elements fewer, and dots are never hidden by bars
        return join([self._bars(frame), *self._dots(frame)])

    def _bars(self, frame: Frame) -> Markup:
        ends: list[tuple[float | None, float | None]] = []
        for x, low, high in zip(self.x, self.low, self.high, strict=bool(self.low)):
            bottom, top = frame.y(low), frame.y(high)
            # half an interval would be read as a whole one
            if bottom is not None and top is not None:
                ends += [(frame.x(x), bottom), (frame.x(x), top), (None, None)]
        style = {"class": f"bar-line {self.tone}", "d": polyline(ends)}
        return tag("path", style) if ends else Markup("")

    def _dots(self, frame: Frame) -> Iterable[Markup]:
        for index, (x, y) in enumerate(zip(self.x, self.y, strict=True)):
            across, down = frame.x(x), frame.y(y)
            if across is None or down is None:
                continue
            radius = self.radius if isinstance(self.radius, int | float) else self.radius[index]
            place = {"class": f"dot {self.tone}", "cx": across, "cy": down, "r": radius}
            yield tag("circle", place, hover(self.tips[index] if self.tips else None))
