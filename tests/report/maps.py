"""Maps of ignorance to draw."""

import math
import random
from collections.abc import Callable
from dataclasses import replace

from counterpoint.findings import IgnoranceMap


def mapped(target: str, scale: float = 1.0, seed: int = 5) -> IgnoranceMap:
    """A cloud of rows in the lower left, and knowledge that is missing away from it."""
    draw = random.Random(seed)
    x = [10.0 * place for place in range(24)]
    y = [1880.0 + 6 * place for place in range(24)]
    knowledge = [
        [scale * (0.2 + math.hypot(i - 8, j - 9) / 12) for j in range(len(x))]
        for i in range(len(y))
    ]
    distance = [math.exp(draw.gauss(0, 0.5)) for _ in range(200)]
    return IgnoranceMap(
        target,
        columns="living_area_m2",
        rows="year_built",
        x=x,
        y=y,
        knowledge=knowledge,
        others={"district": "Nippes", "rooms": "3"},
        point_x=[90 + draw.gauss(0, 30) for _ in range(250)],
        point_y=[1928 + draw.gauss(0, 18) for _ in range(250)],
        distance=distance,
        missing=[scale * (0.2 + 0.5 * value) * draw.uniform(0.8, 1.2) for value in distance],
        near=0.4 * scale,
        far=1.0 * scale,
        agreement=0.81,
    )


def lined(target: str) -> IgnoranceMap:
    """One number alone: knowledge along it."""
    found = mapped(target)
    return replace(
        found, rows=None, y=[], knowledge=[[abs(value - 90) / 90 for value in found.x]], point_y=[]
    )


def disguised(found: IgnoranceMap, pick: Callable[[], str]) -> IgnoranceMap:
    """With other names."""
    others = {pick(): pick() for _ in found.others}
    return replace(found, target=pick(), columns=pick(), rows=pick(), others=others)
