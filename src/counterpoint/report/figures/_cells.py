"""A matrix as shaded cells with their values written in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._mark import Frame, LegendEntry, Tone, Values, hover
from counterpoint.report.figures._text import SIZE, text_width

_SMALL = 9.5


@dataclass(frozen=True)
class Cells:
    """Cell (i, j) of a matrix at y = i (the first row on top) and x = j.

    Both axes of the figure need `names`. The shade of a cell is the size of its value, which
    should lie between -1 and 1: positive in the first tone, negative in the second, None hatched.

    Args:
        shade: values between -1 and 1, rows of equal length.
        texts: what is written in each cell, where it fits; or none.
        tips: what the pointer shows, or none.
        tone: the colour of positive values.
        against: the colour of negative values.
    """

    shade: Sequence[Values]
    texts: Sequence[Sequence[str]] = ()
    tips: Sequence[Sequence[str]] = ()
    tone: Tone = "one"
    against: Tone = "two"

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """Nothing: the axes' names give the room."""
        return (), ()

    def legend(self) -> Sequence[LegendEntry]:
        """Nothing: values are written in the cells."""
        return []

    def draw(self, frame: Frame) -> Markup:
        """A rectangle and a text a cell."""
        return join(
            self._cell(frame, row, column, value)
            for row, values in enumerate(self.shade)
            for column, value in enumerate(values)
        )

    def _cell(self, frame: Frame, row: int, column: int, value: float | None) -> Markup:
        across, down = frame.x(float(column)), frame.y(float(row))
        if across is None or down is None:
            return Markup("")
        columns, rows = len(self.shade[row]), len(self.shade)
        # 1.5 units apart: touching cells of one shade would be read as one
        wide = abs(frame.x.end - frame.x.start) / columns - 1.5
        high = abs(frame.y.end - frame.y.start) / rows - 1.5
        box = {"x": across - wide / 2, "y": down - high / 2, "width": wide, "height": high}
        tip = hover(self.tips[row][column] if self.tips else None)
        if value is None:
            return tag("rect", {"class": "cell absent", "rx": 2, **box}, tip)
        tone = self.tone if value >= 0 else self.against
        # opacity, not colour: one tone serves light and dark pages
        strength = f"{0.05 + 0.95 * min(abs(value), 1.0):.2f}"
        style = {"class": f"cell {tone}", "rx": 2, "fill-opacity": strength, **box}
        text = self._text(across, down, (row, column), wide, high, value)
        return join([tag("rect", style, tip), text])

    def _text(
        self, x: float, y: float, at: tuple[int, int], wide: float, high: float, value: float
    ) -> Markup:
        text = self.texts[at[0]][at[1]] if self.texts else ""
        size = SIZE if text_width(text) < wide - 2 else _SMALL
        # a text that does not fit is left to the pointer; half a number is a wrong number
        if not text or text_width(text, size) > wide or high < size:
            return Markup("")
        # on a strong shade only the page's own colour can be read
        style = "cell-text strong" if abs(value) > 0.5 else "cell-text"
        style += " small" if size < SIZE else ""
        return tag("text", {"class": style, "x": x, "y": y + 0.36 * size}, text)
