"""Gaps in the data: splits that make them, and a report on what a model knows inside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from counterpoint.errors import InputError, nearest
from counterpoint.estimators._checks import Floats, checked_targets, number, whole
from counterpoint.estimators._distance import neighbour_distance
from counterpoint.posterior import Predictive
from counterpoint.posterior.calibration import auroc, coverage, pit

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class GapSplit:
    """Splits that leave a gap: for each feature the middle third of the rows in its order.

    A model is tested where it has seen nothing between what it has seen, which random rows never
    do: there, a log likelihood is blind to what the model claims to know in a gap. For
    `cross_validate`, `GridSearchCV` and the like as their `cv`.

    Source: Foong et al., "'In-Between' Uncertainty in Bayesian Neural Networks" (arXiv 1906.11537),
    section 3.

    Args:
        features: the columns to cut along, by number or, of a frame, by name; None: all that have
            two values or more. Rows of equal value keep their order.

    Raises:
        InputError: in use, a column that is not there, or that has one value; fewer than three
            rows.

    >>> rows = np.array([[1.0], [5.0], [3.0], [2.0], [4.0], [6.0]])
    >>> [(train.tolist(), test.tolist()) for train, test in GapSplit().split(rows)]
    [([0, 1, 3, 5], [2, 4])]
    """

    features: Sequence[int | str] | None = None

    def split(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002 - as scikit-learn's
        groups: Any = None,  # noqa: ARG002
    ) -> Iterator[tuple[Indices, Indices]]:
        """Training and test rows, one pair a feature.

        Args:
            X: (rows, columns), numbers, as an array or a frame.
            y: not used.
            groups: not used.
        """
        for column in self._columns(X):
            order = np.argsort(column, kind="stable")
            rows = len(order)
            # the middle third: what lies between the data on both sides (Foong et al. 2019)
            test = np.sort(order[rows // 3 : rows - rows // 3])
            train = np.setdiff1d(order, test)
            yield train, test

    def get_n_splits(
        self,
        X: Any = None,
        y: Any = None,  # noqa: ARG002 - as scikit-learn's
        groups: Any = None,  # noqa: ARG002
    ) -> int:
        """How many pairs `split` gives.

        Args:
            X: as in `split`; may be left out where `features` is given.
            y: not used.
            groups: not used.

        Raises:
            InputError: neither rows nor features are given.
        """
        if X is not None:
            return len(self._columns(X))
        if self.features is None:
            raise InputError("gap split: X is needed to count the features, found None")
        return len(self.features)

    def _columns(self, X: Any) -> list[Floats]:
        names = [str(name) for name in X.columns] if hasattr(X, "columns") else []
        table = np.asarray(X, dtype=np.float64)
        if table.ndim != 2 or len(table) < 3:
            raise InputError(
                "gap split: X must have shape (rows, columns) and three rows or more, "
                f"found {table.shape}"
            )
        if not np.isfinite(table).all():
            row, column = np.argwhere(~np.isfinite(table))[0]
            raise InputError(f"gap split: row {row}, column {column} is not a finite number")
        if self.features is None:
            # a column of one value has no middle; who names it is told so below
            wanted = [at for at in range(table.shape[1]) if np.ptp(table[:, at]) > 0]
        else:
            wanted = [_column_number(each, names, table.shape[1]) for each in self.features]
        for at in wanted:
            if np.ptp(table[:, at]) == 0:
                raise InputError(f"gap split: column {at} has one value and cannot be cut along")
        if not wanted:
            raise InputError("gap split: X has no column with two values or more")
        return [table[:, at] for at in wanted]


def _column_number(feature: int | str, names: list[str], columns: int) -> int:
    if isinstance(feature, str):
        if feature not in names:
            raise InputError(f"gap split: no column {feature!r}{nearest(feature, names)}")
        return names.index(feature)
    if not -columns <= feature < columns:
        raise InputError(f"gap split: column {feature} of {columns} is not there")
    return feature


@dataclass(frozen=True)
class Side:
    """Rows inside or outside of the data: features, predictions and, where known, targets."""

    features: Float[Tensor, "rows width"]
    predictive: Predictive
    y: ArrayLike | None


@dataclass(frozen=True)
class GapReport:
    r"""What a model claims to know where there are data, and where there are none.

    Two scores tell a row outside from a row inside. One is the knowledge variance of its
    prediction, summed over standardised targets. The other knows nothing of densities or of the
    last layer: the mean distance to the nearest rows of fit in the space of the trunk's features,
    each divided by its standard deviation there. Where the second tells outside from inside and
    the first does not, the trunk sees the gap and the last layer is sure in it all the same; where
    neither does, the trunk maps the gap onto the data.

    Attributes:
        knowledge_inside: mean standard deviation of knowledge inside, one a target, in its unit.
        knowledge_outside: the same outside.
        auroc: probability that knowledge is less (its variance greater) at a row outside than at a
            row inside.
        distance_auroc: the same of the distance.
        knowledge_scores: of the rows inside, and of those outside.
        distance_scores: likewise.
        coverage: share of targets in their central interval, inside and outside; NaN without them.
        log_prob: mean log density of the targets, in nats a row, likewise.
        level: of that interval.
    """

    knowledge_inside: Floats
    knowledge_outside: Floats
    auroc: float
    distance_auroc: float
    knowledge_scores: tuple[Floats, Floats]
    distance_scores: tuple[Floats, Floats]
    coverage: tuple[float, float]
    log_prob: tuple[float, float]
    level: float

    @property
    def ratio(self) -> Floats:
        """Knowledge's standard deviation outside over inside, one a target."""
        return self.knowledge_outside / self.knowledge_inside

    @property
    def sentence(self) -> str:
        """The report in one line."""
        ratios = ", ".join(f"{ratio:.3g}" for ratio in self.ratio)
        line = (
            f"standard deviation of knowledge outside over inside: {ratios}; rows outside told "
            f"from rows inside with AUROC {self.auroc:.2f} (by distance: {self.distance_auroc:.2f})"
        )
        sides = zip(("inside", "outside"), self.coverage, self.log_prob, strict=True)
        for side, covered, density in sides:
            if not np.isnan(covered):
                line += (
                    f"; {side}: {covered:.0%} of targets in the {self.level:.0%} interval, "
                    f"log density {density:.3f}"
                )
        return line


def gap_report(
    rows_of_fit: Float[Tensor, "fit width"],
    sides: Sequence[Side],
    scale: Float64[Tensor, " targets"],
    *,
    neighbours: int,
    level: float,
) -> GapReport:
    """The report from features and predictions; see `NeuralLinearRegressor.gap_report`."""
    # few rows have few neighbours
    count = min(whole("neighbours", neighbours, 1), len(rows_of_fit))
    level = number("level", level, "a number between 0 and 1", lambda part: 0 < part < 1)
    # targets in units of their own spread, or the one with the largest numbers would decide alone
    variances = [(side.predictive.knowledge / scale.square()).sum(1) for side in sides]
    apart = [_distance(rows_of_fit, side.features, count) for side in sides]
    # a mean of deviations and not of variances, which one far row would decide
    deviations = [side.predictive.knowledge.sqrt().mean(0).numpy() for side in sides]
    tested = [_tested(side, level) for side in sides]
    return GapReport(
        knowledge_inside=deviations[0],
        knowledge_outside=deviations[1],
        auroc=auroc(*variances),
        distance_auroc=auroc(*apart),
        knowledge_scores=(variances[0].numpy(), variances[1].numpy()),
        distance_scores=(apart[0].numpy(), apart[1].numpy()),
        coverage=(tested[0][0], tested[1][0]),
        log_prob=(tested[0][1], tested[1][1]),
        level=level,
    )


def _distance(
    known: Float[Tensor, "known width"], features: Float[Tensor, "rows width"], count: int
) -> Float64[Tensor, " rows"]:
    return torch.from_numpy(
        neighbour_distance(known.numpy(), features.numpy(), neighbours=count, standardise=True)
    )


def _tested(side: Side, level: float) -> tuple[float, float]:
    """Coverage and mean log density; NaN where there are no targets."""
    if side.y is None:
        return float("nan"), float("nan")
    targets = torch.from_numpy(checked_targets(side.y, len(side.predictive.mean)))
    levels = torch.tensor([level], dtype=torch.float64)
    covered = coverage(pit(side.predictive, targets), levels).mean()
    return covered.item(), side.predictive.log_prob(targets).sum(1).mean().item()
