"""Names beside points, placed so that they neither overlap nor leave the figure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._mark import Frame, LegendEntry, Values
from counterpoint.report.figures._text import fit, text_width

_SIZE = 11.0
_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class TextLabels:
    """A text beside each `(x, y)`, the first ones first; a text that finds no room is left out.

    Args:
        x: horizontal values of the points.
        y: vertical values of the points.
        texts: the names, the most important first.
        most: how many to place at most.
        width: the widest a text may be (user units); longer ones lose their middle.
        radius: of the points, in user units; one for all, or one each.
    """

    x: Values
    y: Values
    texts: Sequence[str]
    most: int = 80
    width: float = 120.0
    radius: float | Sequence[float] = 2.6

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """The points."""
        return self.x, self.y

    def legend(self) -> Sequence[LegendEntry]:
        """Nothing."""
        return []

    def draw(self, frame: Frame) -> Markup:
        """Greedy placement: right, left, above, below, then the corners; first fit stays."""
        spots = [(frame.x(x), frame.y(y)) for x, y in zip(self.x, self.y, strict=True)]
        sizes = [self.radius] * len(spots) if isinstance(self.radius, int | float) else self.radius
        # no name may lie over a point, also not over one that stays without a name
        taken: list[_Box] = [
            (x - size, y - size, x + size, y + size)
            for (x, y), size in zip(spots, sizes, strict=True)
            if x is not None and y is not None
        ]
        drawn: list[Markup] = []
        for (x, y), size, text in zip(spots[: self.most], sizes, self.texts, strict=False):
            if x is None or y is None:
                continue
            short = fit(text, self.width, _SIZE)
            boxes = _places(x, y, size, short)
            box = next((box for box in boxes if _free(box, taken, frame)), None)
            if box is not None:
                taken.append(box)
                drawn.append(tag("text", {"class": "label", "x": box[0], "y": box[3] - 3}, short))
        return join(drawn)


def _places(x: float, y: float, radius: float, text: str) -> Iterator[_Box]:
    wide, high = text_width(text, _SIZE), _SIZE + 1
    # on its diagonal a dot reaches radius / sqrt(2)
    beside, over, corner = radius + 2, radius + high / 2 + 0.5, 0.7 * radius + 1.5
    aslant = corner + high / 2
    for across, down in (
        (beside, 0.0),
        (-beside, 0.0),
        (0.0, -over),
        (0.0, over),
        (corner, -aslant),
        (corner, aslant),
        (-corner, -aslant),
        (-corner, aslant),
    ):
        left = x + across if across > 0 else x + across - wide if across < 0 else x - wide / 2
        yield (left, y + down - high / 2, left + wide, y + down + high / 2)


def _free(box: _Box, taken: Sequence[_Box], frame: Frame) -> bool:
    left, top, right, bottom = box
    # as far over the edge as nothing else stands: tick texts 6 units left, the end 14 to the right
    if left < frame.x.start - 4 or right > frame.x.end + 10:
        return False
    if top < frame.top - 4 or bottom > frame.bottom + 4:
        return False
    return not any(
        left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
        for other in taken
    )
