"""Where a sampled field is at least so high: outlines as SVG path data."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

Corner = tuple[int, int]
Edge = tuple[Corner, Corner]

_UNITS = 1000  # the picture's width; a path in whole units is short

# Which edges of a cell an outline joins, by which of its corners are inside (bits 1, 2, 4, 8 for
# corners 0 to 3, anticlockwise); edge e runs from corner e to the next. The inside is on the right.
_JOINED = {
    1: ((3, 0),), 2: ((0, 1),), 3: ((3, 1),), 4: ((1, 2),), 6: ((0, 2),), 7: ((3, 2),),
    8: ((2, 3),), 9: ((2, 0),), 11: ((2, 1),), 12: ((1, 3),), 13: ((1, 0),), 14: ((0, 3),),
}  # fmt: skip
_SADDLE = {5: ((3, 0), (1, 2)), 10: ((0, 1), (2, 3))}  # two corners apart
_BRIDGE = {5: ((3, 2), (1, 0)), 10: ((0, 3), (2, 1))}  # joined by a middle that is inside


def outline(values: Float[np.ndarray, "side side"], level: float) -> str:
    """The region ``values >= level`` as closed paths in units of a thousandth of the side.

    Marching squares (Lorensen and Cline, Marching Cubes, SIGGRAPH 1987, in two dimensions); the
    border of the square closes what runs into it.

    Args:
        values: on a square grid from edge to edge; the first index runs along x, the second up.
        level: of the outline.

    >>> outline(np.array([[0.0, 0.0], [1.0, 1.0]]), 0.5)  # the right half
    'M1000 1000l-500 0 0-1000 500 0 0 1000z'
    """
    side = len(values)
    # a border that is nowhere inside, and lies on the outermost points, so that all paths close
    padded = np.pad(values, 1, constant_values=-np.inf)
    follows = dict(_pieces(padded, level))
    paths: list[str] = []
    while follows:
        first = next(iter(follows))
        loop: list[Edge] = []
        edge = first
        while edge in follows:
            loop.append(edge)
            edge = follows.pop(edge)
        paths.append(_path([_crossing(padded, level, edge, side) for edge in loop]))
    return "".join(paths)


def _pieces(padded: Float[np.ndarray, "side side"], level: float) -> Iterator[tuple[Edge, Edge]]:
    inside = padded >= level
    kinds = inside[:-1, :-1] * 1 + inside[1:, :-1] * 2 + inside[1:, 1:] * 4 + inside[:-1, 1:] * 8
    for i, j in np.argwhere((kinds > 0) & (kinds < 15)).tolist():
        corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
        kind = int(kinds[i, j])
        joined = _JOINED.get(kind)
        if joined is None:
            middle = np.mean([padded[corner] for corner in corners])
            joined = (_BRIDGE if middle >= level else _SADDLE)[kind]
        for start, end in joined:
            yield _edge(corners, start), _edge(corners, end)


def _edge(corners: list[Corner], number: int) -> Edge:
    """An edge by its ends in order, the same from both of its sides."""
    one, two = corners[number], corners[(number + 1) % 4]
    return (one, two) if one < two else (two, one)


def _crossing(
    padded: Float[np.ndarray, "side side"], level: float, edge: Edge, side: int
) -> tuple[int, int]:
    one, two = edge
    low, high = padded[one], padded[two]
    # against the border the outline runs along the last points that there are
    share = 0.0 if high == -np.inf else 1.0 if low == -np.inf else (level - low) / (high - low)
    x, y = (one[axis] + share * (two[axis] - one[axis]) - 1 for axis in (0, 1))
    scale = _UNITS / (side - 1)
    return round(x * scale), round(_UNITS - y * scale)


def _path(points: list[tuple[int, int]]) -> str:
    """Relative steps, which are shorter than places; steps of no length are left out."""
    (x, y), *rest = points
    text = f"M{x} {y}l"
    steps: list[str] = []
    for across, down in rest:
        if (across, down) != (x, y):
            steps.append(f"{across - x} {down - y}")
            x, y = across, down
    # what is smaller than a unit has no outline
    return "" if not steps else text + " ".join(steps).replace(" -", "-") + "z"
