"""Trim, elect a sign, take the mean of those that agree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._method import (
    MergedTensor,
    MergeInputs,
    MergeMethod,
    sign_agreed,
    task_vectors,
)
from counterpoint.merge.methods._trimmed import reaching, threshold, threshold_of_all


@dataclass(frozen=True)
class Ties(MergeMethod):
    r"""TIES, :math:`\theta_0 + \frac{1}{|A|} \sum_{k \in A} s_k \hat\tau_k`, entry by entry.

    :math:`\hat\tau_k` is what model k has learnt since the start, its greatest entries alone; A
    are the models whose entry has the sign of :math:`\sum_k s_k \hat\tau_k`. The threshold is
    exact, and entries equal to it are all kept; where entries balance exactly, nothing is added.

    Yadav et al. 2023, "TIES-Merging: resolving interference when merging models", algorithm 1.

    Attributes:
        density: the share of entries that is kept.
        per: of each ``"tensor"``, or of the whole ``"model"``, as in the paper.
        thresholds: by model, as `surveyed` finds them.

    Raises:
        InputError: the density is not between 0 and 1, or `per` is neither.
    """

    density: float = 0.2
    per: str = "model"
    thresholds: tuple[float, ...] = ()
    facts: ClassVar[Facts] = METHODS["ties"]

    def __post_init__(self) -> None:
        check_density("ties", self.density)
        if self.per not in ("tensor", "model"):
            raise InputError(f"ties: per is 'tensor' or 'model', found {self.per!r}")

    def surveyed(self, inputs: MergeInputs) -> "Ties":
        """With one threshold a model, over all its tensors."""
        if self.per == "tensor" or not inputs.names():
            return self
        # a model at a time, so that the magnitudes of one alone are ever held
        count = len(inputs.tensors(inputs.names()[0]))
        found = tuple(
            threshold_of_all(lambda k=k: _vectors(inputs, k), self.density) for k in range(count)
        )
        return replace(self, thresholds=found)

    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """The start and the mean of what agrees."""
        base, vectors = task_vectors(tensors, about)
        least = self.thresholds or [threshold(vector, self.density) for vector in vectors]
        trimmed = [
            torch.where(reaching(vector, one), vector, torch.zeros_like(vector))
            for vector, one in zip(vectors, least, strict=True)
        ]
        agreed, count = sign_agreed(trimmed, coefficients)
        return base + torch.stack(agreed).sum(0) / count


def check_density(what: str, density: float) -> None:
    """Refuse what is no share.

    Raises:
        InputError: it is not above 0 and at most 1.
    """
    if not 0 < density <= 1:
        raise InputError(f"{what}: density must be above 0 and at most 1, found {density}")


def _vectors(inputs: MergeInputs, model: int) -> Iterator[Tensor]:
    for name in inputs.names():
        tensors = inputs.tensors(name)
        yield task_vectors(tensors, MergedTensor(name, inputs.base(name)))[1][model]
