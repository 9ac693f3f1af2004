"""What every mark is given and has to answer."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from counterpoint.report._markup import Markup, tag
from counterpoint.report.figures._scale import Scale

Tone: TypeAlias = Literal["one", "two", "three", "four", "five", "six", "soft"]
Values: TypeAlias = Sequence["float | None"]
LegendEntry: TypeAlias = tuple[str, Tone, str]

# A page holds thousands of coordinates, and has to stay small: "12.0" is written as "12".
_WHOLE = re.compile(r"\.0(?!\d)")


@dataclass(frozen=True)
class Frame:
    """The plotting area: a scale for each direction (positions in user units, y downwards)."""

    x: Scale
    y: Scale

    @property
    def top(self) -> float:
        """The upper edge, whichever way the y scale runs."""
        return min(self.y.start, self.y.end)

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return max(self.y.start, self.y.end)


@runtime_checkable
class Mark(Protocol):
    """One layer of a figure: knows what room it needs, what the legend says, how it looks."""

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """The x and the y values that the axes must include."""
        ...

    def legend(self) -> Sequence[LegendEntry]:
        """Each entry's label, tone and shape: line, dash, area, bar or dot."""
        ...

    def draw(self, frame: Frame) -> Markup:
        """The mark as SVG."""
        ...


def hover(text: str | None) -> Markup:
    """The `<title>` that a browser (or the page's script) shows under the pointer."""
    return Markup("") if not text else tag("title", None, text[:600])


def polyline(points: Iterable[tuple[float | None, float | None]]) -> str:
    """Path data through the points, interrupted at gaps; a point alone becomes a dot.

    >>> polyline([(0, 1), (1, 2), (2, None), (3, 4)])
    'M0 1L1 2M3 4h0'
    """
    pieces: list[str] = []
    run: list[str] = []
    for x, y in [*points, (None, None)]:
        if x is not None and y is not None:
            run.append(f"{x:.1f} {y:.1f}")
        elif run:
            # a path of one point has no length and is not drawn; h0 with a round cap is a dot
            pieces.append(f"M{'L'.join(run)}{'h0' * (len(run) == 1)}")
            run = []
    return _WHOLE.sub("", "".join(pieces))
