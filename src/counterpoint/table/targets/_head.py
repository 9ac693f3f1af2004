"""What a target asks of the network: outputs, a likelihood, and the way back to its units."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor

from counterpoint.goals import Likelihood
from counterpoint.posterior import CategoricalPredictive, Predictive
from counterpoint.table.columns._encoded import Encoded
from counterpoint.table.targets._prediction import Prediction

MemberPrediction: TypeAlias = Predictive | CategoricalPredictive
"""What one member predicts of one target, numbers standardised."""


class Head(ABC):
    """What a kind of target has to answer."""

    kind: ClassVar[str]
    """The kind's name in findings."""

    noisy: ClassVar[bool]
    """Whether it has a noise variance, which rows left out reveal."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers the network puts out."""

    @abstractmethod
    def read(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """The values of an encoded column, and which rows have one, (N,)."""

    @abstractmethod
    def actual(self, encoded: Encoded) -> Tensor:
        """The values as a `Prediction` is about them, (N,): exact, as `units` of `read` is not."""

    @property
    def note(self) -> str:
        """What is worth saying of how the target is predicted; often nothing."""
        return ""

    @abstractmethod
    def units(self, values: Tensor) -> Tensor:
        """Values as a `Prediction` is about them, (N,)."""

    @abstractmethod
    def deviation(self, variance: float) -> float:
        """The standard deviation, in the column's units, of a standardised variance."""

    @abstractmethod
    def far(self, values: Tensor, most: float) -> Tensor:
        """Which values are more than so many standard deviations from all that was learnt, (N,)."""

    @abstractmethod
    def expressible(self, values: Tensor, outputs: int) -> Tensor:
        """Which values could be predicted with the first so many outputs, (N,)."""

    @abstractmethod
    def likelihood(self, noise: float | None = None) -> Likelihood:
        """The likelihood of a value given the outputs; the noise variance is standardised."""

    @abstractmethod
    def taught(self, values: np.ndarray) -> Tensor:
        """What a teacher predicts, float32 (N, K), as outputs are compared with it.

        Args:
            values: numbers in the column's units (N,), or probabilities of the classes (N, C).
        """

    def imitation(self, output: Tensor, taught: Tensor) -> Tensor:
        """What it costs each row that its output is not the teacher's, in nats, (N,).

        Source: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network" (arXiv
        1503.02531), at temperature one.
        """
        return self.likelihood().nll_each(output, taught)

    @abstractmethod
    def sure(self, output: Tensor, noise: float | None) -> MemberPrediction:
        """The prediction of a member that has no doubt of its output, float64 (N, outputs)."""

    @abstractmethod
    def renoised(
        self, part: MemberPrediction, noise: Tensor | float | None, between: Tensor | float = 0.0
    ) -> MemberPrediction:
        """A prediction with another noise, if there is one, and more variance of the mean."""

    @abstractmethod
    def joined(self, parts: Sequence[MemberPrediction]) -> MemberPrediction:
        """Predictions of several lots of rows, one after the other."""

    @abstractmethod
    def combine(self, parts: Sequence[MemberPrediction]) -> Prediction:
        """The equal mixture of the members' predictions of the same rows, in units."""

    @abstractmethod
    def constant(self, values: Tensor, weight: Tensor, rows: int) -> Prediction:
        """What one would predict of so many rows knowing these values (`units`) alone."""


def mixed(parts: Sequence[MemberPrediction]) -> tuple[Tensor, Tensor]:
    """Mean and knowledge of an equal mixture.

    The mean is the mean of the means; the variance of the mean (knowledge) is, by the law of total
    variance, the mean of the members' plus the variance between their means.
    """
    means = torch.stack([part.mean for part in parts])
    knowledge = torch.stack([part.knowledge for part in parts]).mean(0)
    return means.mean(0), knowledge + means.var(0, unbiased=False)
