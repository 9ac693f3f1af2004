"""A surface over two axes as shades in steps: a map."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._mark import Frame, LegendEntry, Tone, Values, hover
from counterpoint.report.figures._scale import finite


@dataclass(frozen=True)
class Field:
    """A rectangle around each grid point `(x_j, y_i)`, stronger where `value[i][j]` is larger.

    All rectangles of a step are one path, so that a fine grid costs little.

    Args:
        x: ascending, evenly spaced.
        y: likewise.
        value: a row a `y`; None is left bare.
        steps: where one shade ends and the next begins, ascending: one more than shades.
        tips: what the pointer shows, one a shade, or none.
        tone: colour.
    """

    x: Sequence[float]
    y: Sequence[float]
    value: Sequence[Values]
    steps: Sequence[float]
    tips: Sequence[str] = ()
    tone: Tone = "one"

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """The outer edges of the rectangles."""
        return _edges(self.x), _edges(self.y)

    def legend(self) -> Sequence[LegendEntry]:
        """Nothing: shades are explained by a scale of their own."""
        return []

    def draw(self, frame: Frame) -> Markup:
        """One path a shade."""
        # rounded as they will be written, so that neighbours meet
        across = [round(frame.x.nearest(edge), 1) for edge in _edges(self.x)]
        up = [round(frame.y.nearest(edge), 1) for edge in _edges(self.y)]
        shades = max(len(self.steps) - 1, 1)
        pieces: list[list[str]] = [[] for _ in range(shades)]
        for row, values in enumerate(self.value):
            box = (min(up[row : row + 2]), abs(up[row + 1] - up[row]))
            # neighbours of one shade as one rectangle: a shorter path, and no seams
            for first, last, shade in self._runs(values):
                wide = across[last] - across[first]
                pieces[shade].append(_rectangle(across[first], box[0], wide, box[1]))
        return join(self._path(shade, "".join(part)) for shade, part in enumerate(pieces) if part)

    def _runs(self, values: Values) -> Iterable[tuple[int, int, int]]:
        """Neighbours of one shade: the first, the one after the last, the shade."""
        start, shade = 0, self._shade(values[0]) if values else None
        for column in range(1, len(values) + 1):
            here = self._shade(values[column]) if column < len(values) else None
            if column == len(values) or here != shade:
                if shade is not None:
                    yield start, column, shade
                start, shade = column, here

    def _shade(self, value: float | None) -> int | None:
        known = finite(value)
        if known is None:
            return None
        below = sum(step <= known for step in self.steps[1:-1])
        return min(below, max(len(self.steps) - 2, 0))

    def _path(self, shade: int, path: str) -> Markup:
        # the lightest shade is still a shade: white is where nothing is known
        strength = f"{0.06 + 0.9 * shade / max(len(self.steps) - 2, 1):.2f}"
        style = {"class": f"cell sharp {self.tone}", "fill-opacity": strength, "d": path}
        return tag("path", style, hover(self.tips[shade] if self.tips else None))


def _edges(middles: Sequence[float]) -> list[float]:
    if not middles:
        return []
    if len(middles) == 1:
        return [middles[0] - 0.5, middles[0] + 0.5]
    half = (middles[-1] - middles[0]) / (len(middles) - 1) / 2
    return [middle - half for middle in middles] + [middles[-1] + half]


def _rectangle(x: float, y: float, wide: float, high: float) -> str:
    return f"M{x:.1f} {y:.1f}h{wide:.1f}v{high:.1f}h-{wide:.1f}z"
