"""Lines and bands, with gaps where a value is absent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._mark import Frame, LegendEntry, Tone, Values, polyline


@dataclass(frozen=True)
class Line:
    """A line through `(x, y)`; None interrupts it, and a value between two gaps is a dot."""

    x: Values
    y: Values
    label: str = ""
    tone: Tone = "one"
    dashed: bool = False

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """All values."""
        return self.x, self.y

    def legend(self) -> Sequence[LegendEntry]:
        """The label."""
        return [(self.label, self.tone, "dash" if self.dashed else "line")] if self.label else []

    def draw(self, frame: Frame) -> Markup:
        """One path."""
        points = ((frame.x(x), frame.y(y)) for x, y in zip(self.x, self.y, strict=True))
        style = f"line {'dash ' if self.dashed else ''}{self.tone}"
        return tag("path", {"class": style, "d": polyline(points)})


@dataclass(frozen=True)
class Area:
    """The band between `low` and `high` over `x`; None interrupts it."""

    x: Values
    low: Values
    high: Values
    label: str = ""
    tone: Tone = "soft"

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """All values."""
        return self.x, [*self.low, *self.high]

    def legend(self) -> Sequence[LegendEntry]:
        """The label."""
        return [(self.label, self.tone, "area")] if self.label else []

    def draw(self, frame: Frame) -> Markup:
        """One closed path a stretch without gaps."""
        pieces: list[Markup] = []
        run: list[tuple[float, float, float]] = []
        rows = zip(self.x, self.low, self.high, strict=True)
        for x, low, high in [*rows, (None, None, None)]:
            spot = (frame.x(x), frame.y(low), frame.y(high))
            if spot[0] is not None and spot[1] is not None and spot[2] is not None:
                run.append((spot[0], spot[1], spot[2]))
                continue
            # a band over one value of x has no area
            if len(run) > 1:
                pieces.append(self._stretch(run))
            run = []
        return join(pieces)

    def _stretch(self, run: Sequence[tuple[float, float, float]]) -> Markup:
        # one outline: along the upper edge, and back along the lower
        there = [(x, high) for x, _, high in run]
        back = [(x, low) for x, low, _ in reversed(run)]
        return tag("path", {"class": f"area {self.tone}", "d": polyline([*there, *back]) + "Z"})
