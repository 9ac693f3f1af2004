"""Whether classes can be told apart by a linear map, by linear programming."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from counterpoint.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import coo_array

AnyArray: TypeAlias = "Shaped[Tensor, '...'] | Shaped[np.ndarray, '...'] | Sequence[object]"
"""A tensor, an array, or a list of numbers or names."""

_TOLERANCE = 1e-6
"""By how much a constraint may be missed: HiGHS itself allows 1e-7."""
_BEGIN, _ADD = 100, 400
"""Rows whose constraints a program begins with, and constraints that it gets at a time."""
_METHODS = ("highs-ipm", "highs-ds")
"""Of digits (1,797 x 64, ten classes): 5 s, and 13 s by the simplex method, which answers
where the other ends without."""


@dataclass(frozen=True)
class Separability:
    """Whether some linear map puts every row's own class first, and how far.

    Attributes:
        separable: whether there is such a map; one was found and gives every row its class.
        margin: how far rows are kept from every border: none takes another class until its features
            have changed by this in total (the sum of the sizes). Of two classes the greatest there
            is; of more, that under one bound on all pairs' slopes. 0 where not separable, infinite
            with one class.
        spread: how far a row is from the mean row on average, measured likewise.
        blocking: numbers of rows without which the others are separable, ascending: few, but not
            always the fewest, which nobody can find soon (the problem is NP-hard).
        chance: the share of all ways to give as many rows in general position one of two labels
            that a hyperplane separates, in the dimensions that these rows span; 1: any would be.
        classes: how many there are.
        rows: how many there are.
    """

    separable: bool
    margin: float
    spread: float
    blocking: tuple[int, ...]
    chance: float
    classes: int
    rows: int

    @property
    def trivial(self) -> bool:
        """Whether separation says nothing: one class, or so few rows that any labels would do."""
        return self.separable and (self.classes == 1 or self.chance == 1.0)

    @property
    def sentence(self) -> str:
        """What was found, in one line."""
        if self.classes == 1:
            return f"separation is trivial: all {self.rows} rows are of one class"
        if self.trivial:
            return (
                f"separation is trivial: {self.rows} rows span so many dimensions that any labels "
                "would be separable"
            )
        if self.separable:
            share = self.margin / self.spread
            return f"separable, by {self.margin:.3g} ({share:.2g} of a row's way from the mean row)"
        named = ", ".join(str(row) for row in self.blocking[:5])
        count = len(self.blocking)
        who = f"row {named} stands" if count == 1 else f"{count} rows stand"
        more = "" if count == 1 else f": {named}" + (", ..." if count > 5 else "")
        return f"not separable: {who} in the way{more}"


def separability(features: AnyArray, labels: AnyArray) -> Separability:
    r"""Find a linear map that gives every row its class, or the rows that stand in the way.

    .. math:: f_{y_n}(x_n) - f_k(x_n) \geq m \quad (k \neq y_n), \qquad f_k(x) = w_k^\top x + b_k

    with every :math:`|w_{kj} - w_{lj}| \leq 1` and m as large as can be, is a linear program, and
    m > 0 means separable: m is then the margin in the sum of absolute changes. Where it is 0, the
    least sum of what rows are short of m = 1 names rows in the way; those that are short by the
    most are taken out until the others are separable. Constraints are added as they are found
    violated. 10,000 rows of 100 features take seconds.

    Sources: Mangasarian, "Linear and Nonlinear Separation of Patterns by Linear Programming"
    (1965); Cover, "Geometrical and Statistical Properties of Systems of Linear Inequalities"
    (1965), for the chance, :math:`P(B \leq r)` with B heads of n - 1 fair coins and r dimensions;
    Chinneck, *Feasibility and Infeasibility in Optimization* (2008), chapter 7, for the rest.

    Args:
        features: rows, of any shape each.
        labels: the class of each row: numbers or texts.

    Raises:
        InputError: no rows, features that are not finite numbers, or another number of labels.

    >>> import torch
    >>> corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> separability(corners, [0, 0, 0, 1]).margin  # and: a change of 1/2 meets x + y = 3/2
    0.5
    >>> separability(corners, [0, 1, 1, 0]).sentence  # exclusive or
    'not separable: row 0 stands in the way'
    """
    points, codes = _read(features, labels)
    classes, rows = int(codes.max()) + 1, len(points)
    centred = points - points.mean(0)
    spread = float(np.abs(centred).sum(1).mean())
    from scipy.stats import binom

    chance = float(binom.cdf(np.linalg.matrix_rank(centred), rows - 1, 0.5)) if rows > 1 else 1.0
    if classes == 1:
        return Separability(True, float("inf"), spread, (), chance, 1, rows)
    # one scale, so that tolerances mean the same whatever the unit
    scale = float(np.abs(centred).max()) or 1.0
    design = np.c_[centred / scale, np.ones(rows)]
    found = _Program(design, codes, classes).widest()
    if found is not None:
        return Separability(True, found * scale, spread, (), chance, classes, rows)
    blocking = tuple(_blocking(design, codes, classes))
    return Separability(False, 0.0, spread, blocking, chance, classes, rows)


def _read(
    features: AnyArray, labels: AnyArray
) -> tuple[Float64[np.ndarray, "rows features"], Int64[np.ndarray, " rows"]]:
    points, names = (
        one.detach().cpu().numpy() if isinstance(one, Tensor) else np.asarray(one)
        for one in (features, labels)
    )
    if points.ndim == 0 or len(points) == 0 or points.size == 0 or points.dtype.kind not in "fiub":
        raise InputError(
            "separability: features must be rows of numbers, found "
            f"shape {points.shape} of {points.dtype}"
        )
    if names.shape != (len(points),):
        raise InputError(
            f"separability: {len(points)} rows need as many labels, found shape {names.shape}"
        )
    # what is absent cannot be sorted among names, and among numbers is a class of no row
    absent = np.flatnonzero([name is None or name != name for name in names])
    if len(absent):
        raise InputError(f"separability: row {absent[0]} has no label; leave such rows out")
    points = points.reshape(len(points), -1).astype(np.float64)
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(1))[0])
        raise InputError(f"separability: features must be finite, found {points[row]} in row {row}")
    return points, np.unique(names, return_inverse=True)[1].astype(np.int64)


def _blocking(design: np.ndarray, codes: np.ndarray, classes: int) -> list[int]:
    """Rows without which the others are separable; a third of those that are wrong at a time."""
    left = np.arange(len(design))
    while True:
        short = _Program(_basis(design[left]), codes[left], classes).shortfall()
        # short by 1 is on the border, by more on the wrong side
        wrong = np.flatnonzero(short >= 1.0 - _TOLERANCE)
        if len(wrong) == 0:
            return sorted(set(range(len(design))) - set(left.tolist()))
        worst = wrong[np.argsort(-short[wrong], kind="stable")][: -(-len(wrong) // 3)]
        left = np.delete(left, worst)


def _basis(design: np.ndarray) -> np.ndarray:
    """What spans the same maps without directions that are rounding alone.

    Their weights are free, and would be so large along these that no program is solved.
    """
    left, sizes, _ = np.linalg.svd(design, full_matrices=False)
    rounding = max(design.shape) * np.finfo(np.float32).eps
    return left[:, sizes > rounding * sizes[0]] * np.sqrt(len(design))


class _Program:
    """Linear programs over the maps of K classes; a constraint is a row and a rival class."""

    def __init__(self, design: np.ndarray, codes: np.ndarray, classes: int) -> None:
        self.design, self.codes, self.classes = design, codes, classes
        rows = len(design)
        self.active = np.zeros((rows, classes), dtype=bool)
        # of each class some, so that the first program is bounded
        order = np.argsort(codes, kind="stable")
        self.active[order[:: max(1, rows // _BEGIN)]] = True
        self.active[np.arange(rows), codes] = False

    def widest(self) -> float | None:
        """The greatest margin of a map that leads in every row, or none where there is none."""
        while True:
            rows, rivals = np.nonzero(self.active)
            system = self._differences(rows, rivals)
            answer = self._solve(system, np.ones(len(rows)), np.zeros(len(rows), int), near=True)
            margin, gaps = float(answer[-1]), self._gaps(answer)
            if margin <= _TOLERANCE:
                return None
            if not self._add(gaps, np.full(len(gaps), margin)):
                return margin

    def shortfall(self) -> Float64[np.ndarray, " rows"]:
        """What every row is short of leading by 1, with the least sum."""
        while True:
            rows, rivals = np.nonzero(self.active)
            held, place = np.unique(rows, return_inverse=True)
            answer = self._solve(self._differences(rows, rivals), -np.ones(len(rows)), place)
            short = np.zeros(len(self.design))
            short[held] = answer[-len(held) :]
            if not self._add(self._gaps(answer), 1.0 - short):
                return short

    def _solve(
        self, system: "coo_array", sign: np.ndarray, place: np.ndarray, *, near: bool = False
    ) -> np.ndarray:
        """Weights, then what is added to them, of one of two programs.

        near: the greatest m with ``system w >= m`` and weights of half a unit at most, so that two
        classes' differ by one. Otherwise the least sum of s >= 0 with ``system w + s >= 1``.
        """
        # slow to import, and most who import this room solve no linear program
        from scipy.optimize import linprog
        from scipy.sparse import coo_array, hstack

        count, columns, extra = len(sign), self.classes * self.design.shape[1], int(place.max()) + 1
        beside = coo_array((sign, (np.arange(count), place)), shape=(count, extra))
        weight = (-0.5, 0.5) if near else (None, None)
        each = [weight] * (self.design.shape[1] - 1) + [(None, None)]  # the offset is free
        bounds = each * self.classes + [(0.0, None)] * extra
        program = (
            np.r_[np.zeros(columns), -sign[:extra]],
            hstack([-system, beside]),
            np.minimum(sign, 0.0),
        )
        said = list[str]()
        for method in _METHODS:
            answer = linprog(*program, bounds=bounds, method=method)
            if answer.x is not None:
                return answer.x
            said.append(str(answer.message))
        raise InputError(f"separability: the linear program was not solved ({'; '.join(said)})")

    def _differences(self, rows: np.ndarray, rivals: np.ndarray) -> "coo_array":
        """``f_y - f_k`` of each constraint as a row over all classes' weights and offsets."""
        from scipy.sparse import coo_array

        width = self.design.shape[1]
        own, other = self.codes[rows], rivals
        values = np.concatenate([self.design[rows], -self.design[rows]], 1)
        places = np.concatenate(
            [own[:, None] * width + np.arange(width), other[:, None] * width + np.arange(width)], 1
        )
        lines = np.repeat(np.arange(len(rows)), 2 * width)
        shape = (len(rows), self.classes * width)
        return coo_array((values.ravel(), (lines, places.ravel())), shape=shape)

    def _gaps(self, weights: np.ndarray) -> np.ndarray:
        """By how much each row's class leads every other; its own is infinitely far."""
        scores = (
            self.design @ weights[: self.classes * self.design.shape[1]].reshape(self.classes, -1).T
        )
        lines = np.arange(len(scores))
        gaps = scores[lines, self.codes][:, None] - scores
        gaps[lines, self.codes] = np.inf
        return gaps

    def _add(self, gaps: np.ndarray, needed: np.ndarray) -> bool:
        """Take in the worst rival of the rows that miss by the most; whether there are any."""
        gaps = np.where(self.active, np.inf, gaps)
        rival = gaps.argmin(1)
        missing = needed - gaps[np.arange(len(gaps)), rival]
        worst = np.argsort(-missing)[:_ADD]
        worst = worst[missing[worst] > _TOLERANCE]
        self.active[worst, rival[worst]] = True
        return len(worst) > 0
