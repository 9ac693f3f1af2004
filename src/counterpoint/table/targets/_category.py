"""One of several classes: a logit each, predicted as probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from counterpoint.findings import TargetFindings
from counterpoint.goals import Categorical
from counterpoint.posterior import CategoricalPredictive
from counterpoint.table.columns._encoded import Encoded
from counterpoint.table.evaluate._measures import category_measures, reliable
from counterpoint.table.targets._head import Head, MemberPrediction, mixed
from counterpoint.table.targets._prediction import Prediction

_CLASSES = 30


@dataclass(frozen=True)
class CategoryPrediction(Prediction):
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
        """The prediction of some rows (indices or a mask)."""
        index = chosen.numpy()
        return CategoryPrediction(self.classes, self.probabilities[index], self.spread[index])

    @property
    def knowledge(self) -> np.ndarray:
        """What more rows would tell, (N,)."""
        return self.spread

    @property
    def best(self) -> np.ndarray:
        """The most probable class of each row, as text."""
        return np.array(self.classes, dtype=object)[self.probabilities.argmax(axis=1)]

    @property
    def guess(self) -> np.ndarray:
        """The most probable class."""
        return self.best

    def columns(self, name: str, level: float) -> dict[str, np.ndarray]:
        """The most probable class, every class's probability, and the knowledge."""
        del level  # a class has no interval
        columns = {name: self.best}
        for index, label in enumerate(self.classes):
            columns[f"{name} p({label})"] = self.probabilities[:, index]
        columns[f"{name} knowledge sd"] = self.spread
        return columns

    def log_prob(self, actual: Tensor) -> Tensor:
        """See `Prediction`."""
        chosen = torch.from_numpy(self.probabilities).gather(1, actual[:, None])[:, 0]
        # a class deemed impossible costs much, but no infinity: one row must not hide the others
        return chosen.clamp_min(1e-300).log()

    def measures(self, actual: Tensor, weight: Tensor) -> dict[str, float | None]:
        """See `category_measures`."""
        return category_measures(torch.from_numpy(self.probabilities), actual, weight)

    def findings(
        self, found: TargetFindings, places: Tensor, actual: Tensor, weight: Tensor, level: float
    ) -> TargetFindings:
        """See `Prediction`: reliability, and which class was taken for which."""
        del places, level  # rows are counted, and a class has no interval
        probabilities, classes = torch.from_numpy(self.probabilities), len(self.classes)
        pairs = actual * classes + probabilities.argmax(1)
        confusion = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        return replace(
            found,
            classes=list(self.classes),
            reliability=reliable(probabilities, actual, weight),
            confusion=confusion.tolist() if classes <= _CLASSES else None,
        )


@dataclass(frozen=True)
class CategoryHead(Head):
    """One of several classes.

    Attributes:
        classes: in the order of the outputs.
    """

    kind: ClassVar[str] = "category"
    noisy: ClassVar[bool] = False

    classes: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """A logit a class."""
        return len(self.classes)

    def read(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Indices of classes as int64 (N,), and which rows have one that is known."""
        # missing and unseen levels have the codes 0 and 1
        index = encoded.codes[0] - 2
        known = index >= 0
        return torch.from_numpy(np.where(known, index, 0)), torch.from_numpy(known)

    def taught(self, values: np.ndarray) -> Tensor:
        """See `Head`."""
        return torch.from_numpy(values.astype(np.float32))

    def imitation(self, output: Tensor, taught: Tensor) -> Tensor:
        """See `Head`: the cross entropy of the teacher's probabilities."""
        return -(taught * output.log_softmax(1)).sum(1)

    def actual(self, encoded: Encoded) -> Tensor:
        """The indices."""
        return self.read(encoded)[0]

    def units(self, values: Tensor) -> Tensor:
        """The indices."""
        return values

    def deviation(self, variance: float) -> float:
        """See `Head`; classes have no units."""
        return math.sqrt(variance)

    def far(self, values: Tensor, most: float) -> Tensor:
        """None."""
        del most
        return torch.zeros(len(values), dtype=torch.bool)

    def expressible(self, values: Tensor, outputs: int) -> Tensor:
        """The first classes."""
        return values < outputs

    def likelihood(self, noise: float | None = None) -> Categorical:
        """Categorical; a class has no noise of its own."""
        del noise
        return Categorical(validate=False)

    def sure(self, output: Tensor, noise: float | None) -> CategoricalPredictive:
        """See `Head`."""
        del noise
        return CategoricalPredictive(output.softmax(1), torch.zeros_like(output))

    def renoised(
        self, part: MemberPrediction, noise: Tensor | float | None, between: Tensor | float = 0.0
    ) -> MemberPrediction:
        """The prediction itself: its noise follows from its mean."""
        del noise, between
        return part

    def joined(self, parts: Sequence[MemberPrediction]) -> CategoricalPredictive:
        """See `Head`."""
        mean, knowledge = [part.mean for part in parts], [part.knowledge for part in parts]
        return CategoricalPredictive(torch.cat(mean), torch.cat(knowledge))

    def combine(self, parts: Sequence[MemberPrediction]) -> CategoryPrediction:
        """The mean probabilities, and how sure the most probable class's is."""
        mean, knowledge = mixed(parts)
        spread = knowledge.gather(1, mean.argmax(1, keepdim=True))[:, 0].sqrt()
        return CategoryPrediction(self.classes, mean.numpy(), spread.numpy())

    def constant(self, values: Tensor, weight: Tensor, rows: int) -> CategoryPrediction:
        """Their shares."""
        share = torch.bincount(values, weights=weight, minlength=self.outputs)
        flat = (share / share.sum()).expand(rows, self.outputs)
        return CategoryPrediction(self.classes, flat.numpy(), np.zeros(rows))
