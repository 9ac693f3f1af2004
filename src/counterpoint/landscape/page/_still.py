"""Maps that need no script: the composite in shades, and where walks went."""

import html
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from counterpoint.landscape._descend import Descent
from counterpoint.landscape._landscape import Landscape
from counterpoint.landscape.page._contour import outline
from counterpoint.landscape.page._hills import NEAR
from counterpoint.landscape.page._law import APART, FINE, RADIUS, minima, sampled

SHADES = 12
_TRAILS = 8  # walks whose way is drawn; more would hide the map
_TRAIL = 120  # steps of it
_FINE = 12


def levels(values: Float[np.ndarray, "..."]) -> list[float]:
    """Where one shade ends and the next begins: between even steps and even shares of the plane.

    Even steps alone would leave one shade for all valleys but the deepest, even shares alone
    would hide how deep that one is.
    """
    ordered = np.sort(values, axis=None)
    shares = np.arange(1, SHADES) / SHADES
    places = np.minimum((shares * len(ordered)).astype(int), len(ordered) - 1)
    even = ordered[0] + shares * (ordered[-1] - ordered[0])
    return ((even + ordered[places]) / 2).tolist()


def ground(identifier: str, hills: Landscape) -> str:
    """The mean of all layers as a group of shades, to be used by any number of maps.

    Args:
        identifier: unique in the page.
        hills: on a torus.
    """
    field = sampled(hills, _FINE).mean(0)
    field = np.pad(field, ((0, 1), (0, 1)), mode="wrap")
    shades = [
        f'<path class="s{number}" d="{outline(field, level)}"/>'
        for number, level in enumerate(levels(field), start=1)
    ]
    lowest = '<rect class="s0" width="1000" height="1000"/>'
    return f'<g id="{identifier}" class="relief">{lowest}{"".join(shades)}</g>'


def still(identifier: str, title: str, description: str, marks: str) -> str:
    """A square map.

    Args:
        identifier: unique in the page.
        title: what is shown.
        description: for who cannot see it.
        marks: SVG in units of a thousandth of the side.
    """
    return (
        f'<svg id="{identifier}" class="map" viewBox="0 0 1000 1000" role="img" '
        f'aria-labelledby="{identifier}-title {identifier}-desc">'
        f'<title id="{identifier}-title">{html.escape(title)}</title>'
        f'<desc id="{identifier}-desc">{html.escape(description)}</desc>{marks}</svg>'
    )


def walks(below: str, went: Descent, width: float, *, last: bool = False) -> str:
    """Trails of some walks and the ends of all, over a ground.

    Args:
        below: identifier of the ground.
        went: with its path.
        width: of the torus.
        last: draw the last steps of some walks; otherwise their first.
    """
    marks = "" if went.path is None else "".join(_walks(went.path.numpy(), width, last))
    ring = f'<circle class="goal" cx="500" cy="500" r="{1000 * NEAR / width:.0f}"/>'
    return f'<use href="#{below}"/>{marks}{ring}'


def common_valleys(hills: Landscape, layers: int) -> str:
    """Discs around the minima of the first layers, and what lies in one of each of them."""
    width, scale = hills.width, 1000 / hills.width
    lowest = minima(sampled(hills))[:layers]
    discs: list[str] = []
    for _, i, j in np.argwhere(lowest).tolist():
        # a disc over the edge of the torus is seen at the other edge, too
        for across, up in itertools.product((-width, 0.0, width), repeat=2):
            x, y = i / FINE + across, j / FINE + up
            if max(abs(x - width / 2), abs(y - width / 2)) < width / 2 + RADIUS:
                place = f'cx="{x * scale:.0f}" cy="{1000 - y * scale:.0f}"'
                discs.append(f'<circle class="valley" {place} r="{RADIUS * scale:.0f}"/>')
    return (
        '<rect class="ground" width="1000" height="1000"/>'
        + "".join(discs)
        + f'<path class="all" d="{outline(_depth(lowest), 0.0)}"/>'
        + f'<circle class="shared" cx="500" cy="500" r="{APART * scale:.0f}"/>'
    )


def _depth(lowest: Bool[np.ndarray, "layers side side"]) -> Float[np.ndarray, "points points"]:
    """How far inside a disc of every layer each place is, from edge to edge; negative outside."""
    side = lowest.shape[1]
    axis = np.arange(side + 1)
    depth = np.full((side + 1, side + 1), RADIUS)
    for layer in lowest:
        apart = np.abs(axis[:, None] - np.argwhere(layer).T[:, None])  # along x and along y
        apart = np.minimum(apart, side - apart)
        nearest = np.hypot(apart[0][:, None], apart[1][None]).min(2) / FINE
        depth = np.minimum(depth, RADIUS - nearest)
    return depth


def _walks(path: Float[np.ndarray, "times walks 2"], width: float, last: bool) -> list[str]:
    inside = np.mod(path, width)
    way = inside[-_TRAIL - 1 :] if last else inside[: _TRAIL + 1]
    marks = [
        f'<path class="trail" d="{_trail(way[:, walk], width)}"/>'
        for walk in range(min(path.shape[1], _TRAILS))
    ]
    away = path[-1] - width / 2
    away = away - width * np.round(away / width)
    for (x, y), near in zip(inside[-1], np.hypot(*away.T) < NEAR, strict=True):
        (column, line), kind = _place(x, y, width), "there" if near else "lost"
        marks.append(f'<circle class="walker {kind}" cx="{column}" cy="{line}" r="11"/>')
    return marks


def _trail(points: Float[np.ndarray, "times 2"], width: float) -> str:
    pieces: list[str] = []
    before: Sequence[float] | None = None
    for x, y in points:
        # on a torus a step over the edge is a jump across the map, and is not drawn
        joined = before is not None and max(abs(x - before[0]), abs(y - before[1])) < width / 2
        column, line = _place(x, y, width)
        pieces.append(f"{'L' if joined else 'M'}{column} {line}")
        before = (x, y)
    return "".join(pieces)


def _place(x: float, y: float, width: float) -> tuple[int, int]:
    return round(1000 * x / width), round(1000 - 1000 * y / width)
