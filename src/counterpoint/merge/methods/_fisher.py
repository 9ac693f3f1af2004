"""The mean weighted by how much each model's likelihood depends on a weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.gaussian import Gaussian
from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._linear import WeightedMean
from counterpoint.merge.methods._method import (
    Evidence,
    MergedTensor,
    MergeInputs,
    MergeMethod,
    compute_type,
)


@dataclass(frozen=True)
class FisherMean(MergeMethod):
    r"""Fisher merging, :math:`\sum_k \lambda_k F_k \theta_k / \sum_k \lambda_k F_k`, by entry.

    :math:`F_k` is the diagonal of the Fisher information, as `counterpoint.curvature.fisher` gives
    it (a sum over examples). No prior is taken out, and the more data a model saw the more it
    says: `GaussianProduct` is the exact form. Normalised, each model's diagonal is divided by
    its norm over the whole model first, and its number of examples no longer counts.

    Matena and Raffel 2022, "Merging models with Fisher-weighted averaging", equation 4.

    Attributes:
        normalise: divide each diagonal by its Euclidean norm over all its weights.
        floor: the least that an entry counts (the paper's code has 1e-6).
        norms: by model, as `surveyed` finds them.
    """

    normalise: bool = False
    floor: float = 1e-6
    norms: tuple[float, ...] = ()
    facts: ClassVar[Facts] = METHODS["fisher"]

    def read(self, evidence: Sequence[Evidence]) -> Sequence[Evidence]:
        """Diagonals; a Gaussian's and a precision's are taken."""
        return [_diagonal(each) for each in evidence]

    def surveyed(self, inputs: MergeInputs) -> "FisherMean":
        """With the norms, where they are asked for."""
        if not self.normalise:
            return self
        maps = [each for each in inputs.evidence() if isinstance(each, Mapping)]
        squares = [
            sum(float(values.double().square().sum()) for values in each.values()) for each in maps
        ]
        return replace(self, norms=tuple(value**0.5 or 1.0 for value in squares))

    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """The weighted mean; the plain one where no model's information is known."""
        if about.evidence is None:
            return WeightedMean().merge(tensors, coefficients, about)
        for told in about.evidence:
            # what is not a number is not at least 0 either
            if told.shape != tensors[0].shape or not bool((told >= 0).all()):
                raise InputError(
                    f"fisher: the diagonal of {about.name!r} must be of shape"
                    f" {tuple(tensors[0].shape)} and at least 0 in every entry"
                )
        wide = compute_type(tensors)
        norms = self.norms or (1.0,) * len(tensors)
        parts = zip(about.evidence, norms, coefficients, strict=True)
        counts = [
            (told.to(wide) / norm).clamp_min(self.floor) * share for told, norm, share in parts
        ]
        total = torch.stack(counts).sum(0)
        start = tensors[0].to(wide)
        # around the first, so that equal inputs give themselves to the bit
        moved = [
            (tensor.to(wide) - start) * count for tensor, count in zip(tensors, counts, strict=True)
        ]
        return start + torch.stack(moved).sum(0) / total


def _diagonal(each: Evidence) -> Mapping[str, Tensor]:
    if isinstance(each, Mapping):
        return each
    return (each.precision if isinstance(each, Gaussian) else each).diagonal()
