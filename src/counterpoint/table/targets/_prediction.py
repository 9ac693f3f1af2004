"""The distribution of one target in each row, as it is written and measured."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor

from counterpoint.findings import TargetFindings
from counterpoint.posterior.calibration import Conformal

Levels = Mapping[int | None, Conformal]
"""Group of rows -> the level to ask for there; None: for groups too small to tell."""


class Prediction(ABC):
    """The distribution of one target in each row.

    What was is `Head.units` of the target's values, (N,), each row by its weight, (N,).
    """

    @property
    @abstractmethod
    def knowledge(self) -> np.ndarray:
        """Standard deviation of what more rows would tell, (N,)."""

    @property
    @abstractmethod
    def guess(self) -> np.ndarray:
        """One value a row: the mean, or the most probable class, (N,)."""

    @abstractmethod
    def rows(self, chosen: Tensor) -> "Prediction":
        """The prediction of some rows (indices or a mask)."""

    def pit(self, actual: Tensor) -> Tensor | None:
        """Predicted probability of at most what was, (N,); None where values have no order."""
        del actual

    def inside(self, actual: Tensor, level: float) -> Tensor | None:
        """Which values lie in the intervals of a level, (N,); None where there are none."""
        del actual, level

    def conformed(self, levels: Levels, groups: Tensor) -> "Prediction":
        """With intervals that hold what they say in each group; itself where it has none.

        Args:
            levels: by group.
            groups: of each row.
        """
        del levels, groups
        return self

    @abstractmethod
    def columns(self, name: str, level: float) -> dict[str, np.ndarray]:
        """The columns to write, by name."""

    @abstractmethod
    def log_prob(self, actual: Tensor) -> Tensor:
        """Log likelihood of what was, in nats a row, (N,)."""

    @abstractmethod
    def measures(self, actual: Tensor, weight: Tensor) -> dict[str, float | None]:
        """How good it is, by name."""

    @abstractmethod
    def findings(
        self, found: TargetFindings, places: Tensor, actual: Tensor, weight: Tensor, level: float
    ) -> TargetFindings:
        """Findings with how honest it is.

        Args:
            found: with its measures.
            places: of the rows in their table, from 0.
            actual: what was.
            weight: of each row.
            level: nominal share of values inside the intervals.
        """


def to_frame(predictions: Mapping[str, Prediction], level: float) -> pd.DataFrame:
    """Predictions as one table, rows in the order of the input.

    Args:
        predictions: target -> prediction.
        level: nominal share of values inside the intervals.
    """
    columns: dict[str, np.ndarray] = {}
    for name, prediction in predictions.items():
        columns |= prediction.columns(name, level)
    return pd.DataFrame(columns)
