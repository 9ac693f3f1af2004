"""What is predicted for rows: a number with its interval, or the probabilities of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from counterpoint.posterior import CategoricalPredictive, Predictive
from counterpoint.table.columns import CategoryHead, Head

__all__ = ["CategoryPrediction", "NumberPrediction", "Prediction", "combine", "to_frame"]


@runtime_checkable
class Prediction(Protocol):
    """The distribution of one target in each row."""

    @property
    def knowledge(self) -> np.ndarray:
        """Standard deviation of what more rows would tell, (N,)."""
        ...

    def columns(self, name: str, level: float) -> dict[str, np.ndarray]:
        """The columns to write, by name."""
        ...


@dataclass(frozen=True)
class NumberPrediction:
    """A normal distribution for each row, in the units of the table.

    Attributes:
        distribution: mean, noise and knowledge, shapes (N, 1).
    """

    distribution: Predictive

    def rows(self, chosen: Tensor) -> "NumberPrediction":
        """The prediction of some rows (places or a mask)."""
        found = self.distribution
        return NumberPrediction(
            Predictive(found.mean[chosen], found.noise[chosen], found.knowledge[chosen])
        )

    @property
    def mean(self) -> np.ndarray:
        """Expected value, (N,)."""
        return self.distribution.mean[:, 0].numpy()

    @property
    def std(self) -> np.ndarray:
        """Standard deviation, noise and knowledge together, (N,)."""
        return self.distribution.std[:, 0].numpy()

    @property
    def noise(self) -> np.ndarray:
        """Standard deviation of what no amount of rows would tell, (N,)."""
        return self.distribution.noise[:, 0].sqrt().numpy()

    @property
    def knowledge(self) -> np.ndarray:
        """Standard deviation of what more rows would tell, (N,)."""
        return self.distribution.knowledge[:, 0].sqrt().numpy()

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """The central interval that holds the value with probability `level`: two (N,)."""
        low, high = self.distribution.interval(level)
        return low[:, 0].numpy(), high[:, 0].numpy()

    def columns(self, name: str, level: float) -> dict[str, np.ndarray]:
        """Mean, interval and the two standard deviations."""
        low, high = self.interval(level)
        return {
            name: self.mean,
            f"{name} low": low,
            f"{name} high": high,
            f"{name} sd": self.std,
            f"{name} noise sd": self.noise,
            f"{name} knowledge sd": self.knowledge,
        }


@dataclass(frozen=True)
class CategoryPrediction:
    """Probabilities of the classes in each row.

    Attributes:
        classes: the levels, in the order of the probabilities.
        probabilities: (N, C), rows sum to one.
        spread: (N,), standard deviation of the predicted class's probability: what more rows
            would tell.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    spread: np.ndarray

    def rows(self, chosen: Tensor) -> "CategoryPrediction":
        """The prediction of some rows (places or a mask)."""
        places = chosen.numpy()
        return CategoryPrediction(self.classes, self.probabilities[places], self.spread[places])

    @property
    def knowledge(self) -> np.ndarray:
        """What more rows would tell, (N,)."""
        return self.spread

    @property
    def best(self) -> np.ndarray:
        """The most probable class of each row, as text."""
        return np.array(self.classes, dtype=object)[self.probabilities.argmax(axis=1)]

    def columns(self, name: str, level: float) -> dict[str, np.ndarray]:
        """The most probable class, every class's probability, and the knowledge."""
        del level  # a class has no interval
        columns = {name: self.best}
        for place, label in enumerate(self.classes):
            columns[f"{name} p({label})"] = self.probabilities[:, place]
        columns[f"{name} knowledge sd"] = self.spread
        return columns


def combine(head: Head, parts: Sequence[Predictive | CategoricalPredictive]) -> Prediction:
    """The equal mixture of the members' predictions, in the units of the table.

    Its mean is the mean of the means. Its variance of the mean (knowledge) is, by the law of total
    variance, the mean of the members' plus the variance between their means. A number's mixture is
    given as the normal distribution of the same mean and variance (Lakshminarayanan et al. 2017,
    arXiv 1612.01474, section 2.4).

    Args:
        head: of the target.
        parts: one prediction a member, of the same rows.
    """
    means = torch.stack([part.mean for part in parts])
    knowledge = torch.stack([part.knowledge for part in parts]).mean(0)
    knowledge = knowledge + means.var(0, unbiased=False)
    mean = means.mean(0)
    if isinstance(head, CategoryHead):
        best = mean.argmax(1, keepdim=True)
        spread = knowledge.gather(1, best)[:, 0].sqrt()
        return CategoryPrediction(head.classes, mean.numpy(), spread.numpy())
    noise = torch.stack([part.noise for part in cast("Sequence[Predictive]", parts)]).mean(0)
    return NumberPrediction(Predictive(mean, noise, knowledge).rescaled(head.scale, head.mean))


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
