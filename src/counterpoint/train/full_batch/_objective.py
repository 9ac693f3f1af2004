"""The score of a model as a function of one vector, with its derivatives; all scipy ever sees."""

import math
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from counterpoint.curvature._gradients import gradients
from counterpoint.data import Batch
from counterpoint.errors import InputError, nearest
from counterpoint.goals import Goals, call_goals
from counterpoint.parameters import flatten
from counterpoint.train._step import names_of
from counterpoint.train.full_batch._flat import Flat
from counterpoint.train.full_batch._outcome import Ended, Evaluations, MinimizeEnding

_TOGETHER = 32  # rows of a Hessian in one backward pass


@dataclass(frozen=True)
class Point:
    """What is known of one vector of weights.

    Attributes:
        where: the weights.
        score: the (weighted) mean of the goals.
        gradient: of the score.
        goals: each goal.
        finite: whether score and gradient were; otherwise they are those of a wall, see
            `Objective.at`.
    """

    where: Float64[np.ndarray, " total"]
    score: float
    gradient: Float64[np.ndarray, " total"]
    goals: dict[str, float]
    finite: bool = True

    @property
    def slope(self) -> float:
        """The largest entry of the gradient, without sign."""
        return float(np.abs(self.gradient).max())


class Score:
    """Goals of one model and one batch, and their mean."""

    def __init__(
        self, model: nn.Module, goals: Goals, batch: Batch, factors: Mapping[str, float] | None
    ) -> None:
        self._model, self._goals, self._batch = model, goals, batch
        self._named = factors
        self._names: tuple[str, ...] = ()
        self._factors: Tensor | None = None

    def losses(self) -> dict[str, Tensor]:
        """Every goal as a float64 scalar.

        Raises:
            InputError: they are not named scalars, not those of before, or lack a named factor.
        """
        found = call_goals(self._goals, self._model, self._batch)
        names = names_of(found, graph=False)
        if not self._names:
            self._factors = self._factors_of(names)
            self._names = names
        if names != self._names:
            raise InputError(f"goals: expected {self._names} at every evaluation, found {names}")
        return {name: found[name].double() for name in names}

    def mean(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The mean of goals times factors.

        Raises:
            InputError: no goal depends on a parameter that asks for a gradient.
        """
        stacked = torch.stack(list(losses.values()))
        if self._factors is not None:
            stacked = stacked * self._factors.to(stacked.device)
        if not stacked.requires_grad:
            raise InputError(
                f"goals: none of {', '.join(losses)} depends on the parameters chosen; choose"
                " others, or look for .detach()"
            )
        return stacked.mean()

    def _factors_of(self, names: tuple[str, ...]) -> Tensor | None:
        if self._named is None:
            return None
        for name, factor in self._named.items():
            if name not in names:
                raise InputError(f"weights: no goal {name!r}{nearest(name, names)}")
            if not math.isfinite(factor):
                raise InputError(f"weights: {name!r} must be finite, found {factor}")
        return torch.tensor([self._named.get(name, 1.0) for name in names], dtype=torch.float64)


class Objective:
    """A score over a flat vector; remembers the best point of all it was asked for.

    Attributes:
        best: the finite point with the lowest score; where `noisy`, the last one.
        noisy: whether scores of two points can be compared.
    """

    def __init__(self, score: Score, flat: Flat) -> None:
        self.best: Point | None = None
        self.noisy = False
        self._score, self._flat = score, flat
        # scipy asks for score and gradient apart, and line searches come back
        self._recent = deque[Point](maxlen=4)
        self._graph: tuple[np.ndarray, Tensor] | None = None
        self._counts = {"gradients": 0, "products": 0, "hessians": 0}

    @property
    def evaluations(self) -> Evaluations:
        """What was computed so far."""
        return Evaluations(**self._counts)

    def at(self, where: Float64[np.ndarray, " total"]) -> Point:
        """Score and gradient; one of the last four points is not computed again.

        Where they are not finite, a wall stands in for them: the parabola along the way from the
        best point that leaves it with its own slope and has its bottom after a quarter of the way.
        Searches interpolate to there, where numbers that are not finite would end them.
        """
        for point in self._recent:
            if np.array_equal(point.where, where):
                return point
        point = self.fresh(where)
        if not point.finite and self.best is not None:
            # scipy stops for good at the first infinity
            point = _wall(self.best, point)
        self.keep(point)
        return point

    def fresh(self, where: Float64[np.ndarray, " total"]) -> Point:
        """Score and gradient as they are, computed whatever is remembered."""
        self.put(where)
        self._counts["gradients"] += 1
        losses = self._score.losses()
        score = self._score.mean(losses)
        slope = flatten(gradients(score, self._flat.parameters)).detach().cpu().numpy()
        value = score.item()
        return Point(
            where=np.array(where),
            score=value,
            gradient=slope,
            goals={name: loss.item() for name, loss in losses.items()},
            finite=bool(
                np.isfinite(value)
                and np.isfinite(slope).all()
                and np.abs(where).max(initial=0.0) <= self._flat.greatest
            ),
        )

    def each(self, where: Float64[np.ndarray, " total"]) -> dict[str, Point]:
        """Every goal as a point of its own, without its factor."""
        self.put(where)
        found = dict[str, Point]()
        for name, loss in self._score.losses().items():
            slope = np.zeros_like(where)
            if loss.requires_grad:
                parts = gradients(loss, self._flat.parameters)
                slope = flatten(parts).detach().cpu().numpy()
            found[name] = Point(where, loss.item(), slope, {}, bool(np.isfinite(slope).all()))
        return found

    def keep(self, point: Point) -> None:
        """Remember a point, as the best if it is."""
        self._recent.append(point)
        if point.finite and (self.noisy or self.best is None or point.score < self.best.score):
            self.best = point

    def put(self, where: Float64[np.ndarray, " total"]) -> None:
        """Set the model's weights."""
        self._graph = None
        self._flat.write(where)

    def product(
        self, where: Float64[np.ndarray, " total"], vector: Float64[np.ndarray, " total"]
    ) -> Float64[np.ndarray, " total"]:
        """The Hessian times a vector."""
        self._counts["products"] += 1
        first = self._first(where)
        if not first.requires_grad:
            return np.zeros_like(vector)
        direction = torch.from_numpy(np.ascontiguousarray(vector)).to(first)
        with _twice():
            found = flatten(gradients(first, self._flat.parameters, direction))
        return found.detach().cpu().numpy()

    def hessian(self, where: Float64[np.ndarray, " total"]) -> Float64[np.ndarray, "total total"]:
        """The whole Hessian, symmetric to the last bit; zero where the score is not finite.

        Raises:
            Ended: it is not finite where the score is.
        """
        self._counts["hessians"] += 1
        if not self.at(where).finite:
            return np.zeros((len(where), len(where)))
        first = self._first(where)
        if not first.requires_grad:
            return np.zeros((len(where), len(where)))
        starts = range(0, len(where), _TOGETHER)
        blocks = [self._rows(first, start, min(start + _TOGETHER, len(where))) for start in starts]
        matrix = torch.cat(blocks).cpu().numpy()
        if not np.isfinite(matrix).all():
            raise Ended(MinimizeEnding.NON_FINITE)
        # Cholesky and trust-exact read one triangle each
        return (matrix + matrix.T) / 2

    def _first(self, where: Float64[np.ndarray, " total"]) -> Tensor:
        """The gradient with a graph, kept for all products at one point."""
        if self._graph is None or not np.array_equal(self._graph[0], where):
            self.put(where)
            with _twice():
                score = self._score.mean(self._score.losses())
                first = flatten(gradients(score, self._flat.parameters, graph=True))
            self._graph = np.array(where), first
        return self._graph[1]

    def _rows(self, first: Tensor, start: int, stop: int) -> Tensor:
        directions = torch.zeros(stop - start, len(first), dtype=first.dtype, device=first.device)
        # unit vectors: each gives a row of the matrix by one backward pass
        directions[torch.arange(stop - start), torch.arange(start, stop)] = 1
        with _twice():
            parts = gradients(first, self._flat.parameters, directions, many=True)
        return torch.cat([part.flatten(1) for part in parts.values()], 1).detach()


@contextmanager
def _twice() -> Generator[None, None, None]:
    """Second derivatives where torch has them, and a sentence where it has none."""
    try:
        with sdpa_kernel(SDPBackend.MATH):  # the fused attention kernels have none
            yield
    except NotImplementedError as error:
        raise _only_once(error) from error
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        raise _only_once(error) from error


def _only_once(error: RuntimeError) -> InputError:
    reason = str(error).strip().partition("\n")[0][:200]
    return InputError(
        f"goals: torch cannot take the second derivatives that this method needs ({reason}); use"
        " one of first derivatives, such as 'l-bfgs'"
    )


def _wall(best: Point, point: Point) -> Point:
    way = point.where - best.where
    fall = abs(float(best.gradient @ way)) or 1.0
    # f - fall t + 2 fall t² at t = 1
    slope = 3 * fall * way / float(way @ way)
    return replace(point, score=best.score + fall, gradient=slope)
