"""Upright strips that show a value under the pointer and are otherwise invisible."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from counterpoint.report._markup import Markup, join, tag
from counterpoint.report.figures._mark import Frame, LegendEntry, hover
from counterpoint.report.figures._scale import finite


@dataclass(frozen=True)
class Bands:
    """One strip around each `x` (ascending), reaching half way to its neighbours, with its tip."""

    x: Sequence[float]
    tips: Sequence[str]

    def reach(self) -> tuple[Iterable[float | None], Iterable[float | None]]:
        """The values of x."""
        return self.x, ()

    def legend(self) -> Sequence[LegendEntry]:
        """Nothing."""
        return []

    def draw(self, frame: Frame) -> Markup:
        """One rectangle a strip."""
        spots = [frame.x(finite(x)) for x in self.x]
        shown = [
            (spot, tip) for spot, tip in zip(spots, self.tips, strict=True) if spot is not None
        ]
        # half way to the neighbours: wherever the pointer is, the nearest value shows
        middles = [(left[0] + right[0]) / 2 for left, right in pairwise(shown)]
        edges = [frame.x.start, *middles, frame.x.end]
        top, high = frame.top, frame.bottom - frame.top
        return join(
            tag(
                "rect",
                {
                    "class": "band",
                    "x": left,
                    "y": top,
                    "width": max(right - left, 0),
                    "height": high,
                },
                hover(tip),
            )
            for left, right, (_, tip) in zip(edges, edges[1:], shown, strict=False)
        )
