"""A straight line across the figure that marks one value."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from counterpoint.report._markup import Attributes, Markup, join, tag
from counterpoint.report.figures._mark import Frame, LegendEntry, Tone, hover
from counterpoint.report.figures._text import text_width


@dataclass(frozen=True)
class Guide:
    """A line at one value, upright when `x` is given, lying when `y` is, with a short text."""

    x: float | None = None
    y: float | None = None
    text: str = ""
    tone: Tone = "soft"

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """The value."""
        return [self.x], [self.y]

    def legend(self) -> Sequence[LegendEntry]:
        """Nothing: the text stands beside the line."""
        return []

    def draw(self, frame: Frame) -> Markup:
        """A line, and the text where there is room."""
        if self.x is not None:
            return self._upright(frame, frame.x(self.x))
        return self._lying(frame, frame.y(self.y))

    def _upright(self, frame: Frame, x: float | None) -> Markup:
        if x is None:
            return Markup("")
        ends = {"x1": x, "x2": x, "y1": frame.bottom, "y2": frame.top}
        # to the left of the line where there is no room to its right
        after = x + text_width(self.text) + 6 < frame.x.end
        position = {"x": x + (4 if after else -4), "y": frame.top + 10}
        anchor = {"text-anchor": "start" if after else "end"}
        line = tag("line", {"class": f"rule {self.tone}", **ends}, hover(self.text))
        return join([line, self._note({**position, **anchor})])

    def _lying(self, frame: Frame, y: float | None) -> Markup:
        if y is None:
            return Markup("")
        ends = {"x1": frame.x.start, "x2": frame.x.end, "y1": y, "y2": y}
        position = {"x": frame.x.end - 2, "y": y - 4, "text-anchor": "end"}
        line = tag("line", {"class": f"rule {self.tone}", **ends}, hover(self.text))
        return join([line, self._note(position)])

    def _note(self, position: Attributes) -> Markup:
        return tag("text", {"class": "note", **position}, self.text) if self.text else Markup("")
