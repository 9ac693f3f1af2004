"""The layer whose outputs are nearest to those of all models, each on its own inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._linear import WeightedMean
from counterpoint.merge.methods._method import MergedTensor, MergeMethod, compute_type


@dataclass(frozen=True)
class RegMean(MergeMethod):
    r"""RegMean, :math:`W = (\sum_k \lambda_k W_k \tilde G_k)(\sum_k \lambda_k \tilde G_k)^{-1}`.

    The least squares fit to every model's outputs: :math:`G_k = \sum_n x_n x_n^\top` over the
    inputs of the layer in model k (`input_grams`), its entries off the diagonal times `keep`. Every
    other tensor is the weighted mean.

    Jin et al. 2023, "Dataless knowledge fusion by merging weights of language models", equation 3.

    Attributes:
        keep: the factor of the entries off the diagonal, 0.9 in the paper.
        ridge: added to each diagonal, over its mean: inputs that are always zero say nothing.
    """

    keep: float = 0.9
    ridge: float = 1e-6
    facts: ClassVar[Facts] = METHODS["regmean"]

    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """The fit where Gram matrices are known, else the weighted mean."""
        if about.evidence is None:
            return WeightedMean().merge(tensors, coefficients, about)
        size = tensors[0].shape[-1]
        if tensors[0].ndim != 2 or any(gram.shape != (size, size) for gram in about.evidence):
            found = tuple(about.evidence[0].shape)
            raise InputError(
                f"regmean: {about.name} of shape {tuple(tensors[0].shape)} needs Gram matrices of"
                f" shape {(size, size)}, found {found}"
            )
        if not all(bool(gram.isfinite().all()) for gram in about.evidence):
            raise InputError(f"regmean: a Gram matrix of {about.name} is not finite")
        # in float64: inputs that go together leave Gram matrices near singular
        pairs = zip(about.evidence, coefficients, strict=True)
        grams = [self._damped(gram.double()) * share for gram, share in pairs]
        # around the first: equal models give themselves, however singular the matrices
        start = tensors[0].double()
        moved = [
            (tensor.double() - start) @ gram for tensor, gram in zip(tensors, grams, strict=True)
        ]
        total = torch.stack(grams).sum(0)
        step = torch.linalg.solve(total, torch.stack(moved).sum(0), left=False)
        return (start + step).to(compute_type(tensors))

    def _damped(self, gram: Tensor) -> Tensor:
        diagonal = gram.diagonal()
        ridge = self.ridge * diagonal.mean().clamp_min(torch.finfo(gram.dtype).tiny)
        return self.keep * gram + torch.diag((1 - self.keep) * diagonal + ridge)
