"""What a landscape is: K functions of one point, with their gradients."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import InputError

DIMENSIONS = 16  # noise sums over up to 2^d corners: beyond, a point costs more than a network
_PIECE = 1 << 22  # numbers that one piece of points may hold at once: 32 MiB in float64


@dataclass(frozen=True)
class Evaluation:
    """What K layers are at N points.

    Attributes:
        values: (N, K).
        gradients: by the point, (N, K, d).
    """

    values: Float[Tensor, "points layers"]
    gradients: Float[Tensor, "points layers dimension"]


class Landscape(ABC):
    """K functions of d variables, called layers; each is a goal of whoever stands on a point.

    Attributes:
        layers: K.
        dimension: d, from 1 to 16.
        low, high: the box that is looked at, the same along every axis.
        periodic: whether the box is a torus: ``f(x) = f(x + (high - low) e_i)``.
    """

    layers: int
    dimension: int
    low: float = 0.0
    high: float = 1.0
    periodic: bool = False

    def __call__(self, points: Float[Tensor, "points dimension"]) -> Evaluation:
        """Values and gradients at points, in pieces that bound the memory.

        Raises:
            InputError: the points are not of this dimension, or are integers.
        """
        if points.ndim != 2 or points.shape[1] != self.dimension:
            raise InputError(
                f"landscape: expected points of shape (N, {self.dimension}), "
                f"found {tuple(points.shape)}"
            )
        if not points.is_floating_point():
            raise InputError(f"landscape: points must be floating-point, found {points.dtype}")
        values, gradients = [], []
        rows = max(1, _PIECE // (self.layers * self.numbers_a_point()))
        for piece in points.split(rows) if len(points) else [points]:
            value, gradient = self.evaluate(piece.expand(self.layers, *piece.shape))
            values.append(value.T)
            gradients.append(gradient.transpose(0, 1))
        return Evaluation(torch.cat(values), torch.cat(gradients))

    @abstractmethod
    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """Values and gradients, each layer at points of its own."""

    def numbers_a_point(self) -> int:
        """How many numbers `evaluate` holds at once for one point of one layer."""
        return 4 * self.dimension

    @property
    def width(self) -> float:
        """The length of the box along each axis; the period, where there is one."""
        return self.high - self.low

    def uniform(
        self, count: int, generator: torch.Generator, dtype: torch.dtype = torch.float64
    ) -> Float[Tensor, "points dimension"]:
        """Points drawn uniformly from the box, (count, d)."""
        draws = torch.rand(count, self.dimension, generator=generator, dtype=dtype)
        return self.low + self.width * draws

    def distance(
        self, points: Float[Tensor, "points dimension"], to: Float[Tensor, "*#points dimension"]
    ) -> Float[Tensor, " points"]:
        """Euclidean distance, (N,); on a torus the shortest way round."""
        apart = points - to
        if self.periodic:
            apart = apart - self.width * (apart / self.width).round()
        return apart.norm(dim=-1)


class Joined(Landscape):
    """The layers of several landscapes over one box, in their order.

    Raises:
        InputError: there is none, or they differ in dimension, box or period.
    """

    def __init__(self, *parts: Landscape) -> None:
        if not parts:
            raise InputError("landscape: nothing to join; give at least one landscape")
        first = parts[0]
        for part in parts[1:]:
            for what in ("dimension", "low", "high", "periodic"):
                one, other = getattr(first, what), getattr(part, what)
                if one != other:
                    raise InputError(f"landscape: joined layers differ in {what}: {one}, {other}")
        self.parts = parts
        self.dimension, self.low, self.high = first.dimension, first.low, first.high
        self.layers = sum(part.layers for part in parts)
        self.periodic = first.periodic

    def evaluate(
        self, points: Float[Tensor, "layers points dimension"]
    ) -> tuple[Float[Tensor, "layers points"], Float[Tensor, "layers points dimension"]]:
        """Part by part."""
        pieces = points.split([part.layers for part in self.parts])
        found = [part.evaluate(piece) for part, piece in zip(self.parts, pieces, strict=True)]
        return torch.cat([value for value, _ in found]), torch.cat([slope for _, slope in found])

    def numbers_a_point(self) -> int:
        """As the part that holds most."""
        return max(part.numbers_a_point() for part in self.parts)


def checked(what: str, layers: int, dimension: int) -> None:
    """Refuse a landscape without layers, or of a dimension out of range.

    Raises:
        InputError: in one sentence.
    """
    if layers < 1:
        raise InputError(f"{what}: layers must be at least 1, found {layers}")
    if not 1 <= dimension <= DIMENSIONS:
        raise InputError(f"{what}: dimension must be from 1 to {DIMENSIONS}, found {dimension}")
