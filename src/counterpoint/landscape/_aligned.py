"""Layers moved so that all of them are lowest at one point."""

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.landscape._landscape import Landscape

_SEARCH = 1 << 16  # points at which each layer's lowest is looked for
_BEST = 16  # of them are descended from, by each layer for itself
_DESCENTS = 200
_POLISH = 8  # Newton steps; each doubles the digits that are right


class Aligned(Landscape):
    """``L_k(x) = n_k(x - m + x_k*) - n_k(x_k*)``: every layer is 0 at m and nowhere lower.

    Each layer's lowest point ``x_k*`` is looked for on a grid (points of a Sobol sequence where a
    grid would be too coarse), reached by descent, and polished by Newton's method until the
    gradient is 0 to rounding; on a torus the shift loses nothing.

    Args:
        landscape: periodic.
        apart: how far the layers' minima are from m, in the landscape's unit; 0 is alignment. Each
            is moved in a direction of its own.
        seed: of those directions.

    Attributes:
        minimum: m, the middle of the box, (d,).
        lowest: ``n_k(x_k*)``, (K,).

    Raises:
        InputError: the landscape is not periodic, or `apart` is negative.

    >>> from counterpoint.landscape.noise import Perlin
    >>> aligned = Aligned(Perlin(layers=4, cells=3, seed=1))
    >>> here = aligned(aligned.minimum[None])
    >>> float(here.values.abs().max()), bool(here.gradients.abs().max() < 1e-12)
    (0.0, True)
    """

    def __init__(self, landscape: Landscape, *, apart: float = 0.0, seed: int = 0) -> None:
        if not landscape.periodic:
            raise InputError("aligned: only a periodic landscape can be moved without loss")
        if not apart >= 0:
            raise InputError(f"aligned: apart must not be negative, found {apart}")
        self.landscape, self.apart = landscape, apart
        self.layers, self.dimension = landscape.layers, landscape.dimension
        self.low, self.high, self.periodic = landscape.low, landscape.high, True
        self.minimum = torch.full((self.dimension,), (self.low + self.high) / 2).double()
        found, self.lowest = lowest_points(landscape)
        drawn = torch.Generator().manual_seed(seed)
        away = torch.randn(found.shape, generator=drawn, dtype=torch.float64)
        away = away / away.norm(dim=1, keepdim=True)
        self._found = found
        self._away = apart * away

    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """Each layer at points moved to where its own minimum is."""
        # m is taken off first: at m the point is x_k* itself, to the bit
        apart = points - self.minimum.to(points.dtype) - self._away[:, None].to(points.dtype)
        value, slope = self.landscape.evaluate(apart + self._found[:, None].to(points.dtype))
        return value - self.lowest[:, None].to(value.dtype), slope

    def numbers_a_point(self) -> int:
        """As the landscape that is moved."""
        return self.landscape.numbers_a_point()


def lowest_points(
    landscape: Landscape,
) -> tuple[Float[Tensor, "layers dimension"], Float[Tensor, " layers"]]:
    """Where each layer is lowest, (K, d), and its value there, (K,), float64.

    The lowest that a finite search finds: on rough fields in many dimensions there may be lower.
    """
    candidates = _candidates(landscape)
    values = landscape(candidates).values
    best = values.topk(min(_BEST, len(candidates)), dim=0, largest=False).indices
    points = _descended(landscape, candidates[best.T])
    value, _ = landscape.evaluate(points)
    # each candidate has gone down into a valley of its own; the deepest of them is the layer's
    chosen = value.argmin(1)
    lowest = points[torch.arange(landscape.layers), chosen][:, None]
    lowest = _polished(landscape, lowest)
    return lowest[:, 0], landscape.evaluate(lowest)[0][:, 0]


def _candidates(landscape: Landscape) -> Tensor:
    side = int(round(_SEARCH ** (1 / landscape.dimension), 6))
    if side >= 4 * landscape.width:  # a grid that sees every cell of a lattice
        axis = torch.arange(side, dtype=torch.float64) / side
        grid = torch.meshgrid(*[axis] * landscape.dimension, indexing="ij")
        unit = torch.stack(grid, -1).reshape(-1, landscape.dimension)
    else:
        # a fixed sequence, so that one landscape always has one minimum; fewer points where each
        # costs a corner of every cell of a high-dimensional lattice
        count = max(256, min(_SEARCH, (1 << 26) // landscape.numbers_a_point()))
        sobol = torch.quasirandom.SobolEngine(landscape.dimension)
        unit = sobol.draw(count, dtype=torch.float64)
    return landscape.low + landscape.width * unit


def _descended(landscape: Landscape, points: Tensor) -> Tensor:
    """Steepest descent with a step a point, doubled where it helped and quartered where not."""
    value, slope = landscape.evaluate(points)
    step = torch.full_like(value, 0.05 * landscape.width)
    for _ in range(_DESCENTS):
        # along the unit slope, no farther than the step: steep walls do not throw a point across
        length = slope.norm(dim=-1, keepdim=True).clamp_min(1e-300)
        trial = points - torch.minimum(step[..., None], step[..., None] * length) * slope / length
        lower, steeper = landscape.evaluate(trial)
        better = lower < value
        points = torch.where(better[..., None], trial, points)
        slope = torch.where(better[..., None], steeper, slope)
        value = torch.where(better, lower, value)
        step = torch.where(better, 2 * step, step / 4)
    return points


def _polished(landscape: Landscape, points: Tensor) -> Tensor:
    """Newton's method, with second derivatives by central differences of the exact gradient."""
    # an error of the Hessian of 1e-10 only makes Newton's method linear at that rate
    h = 1e-5 * landscape.width
    shifts = h * torch.eye(landscape.dimension, dtype=torch.float64)
    for _ in range(_POLISH):
        value, slope = landscape.evaluate(points)
        ahead = landscape.evaluate(points + shifts)[1]
        behind = landscape.evaluate(points - shifts)[1]
        hessian = (ahead - behind) / (2 * h)
        hessian = (hessian + hessian.transpose(1, 2)) / 2
        # a saddle or a flat valley is left as descent found it
        root, failed = torch.linalg.cholesky_ex(hessian)
        move = torch.cholesky_solve(slope.transpose(1, 2), root).transpose(1, 2)
        trial = points - move
        lower, _ = landscape.evaluate(trial)
        good = (failed == 0) & (lower[:, 0] <= value[:, 0] + 1e-12)
        points = torch.where(good[:, None, None] & move.isfinite(), trial, points)
    return points
