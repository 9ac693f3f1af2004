"""Eigendecompositions that are made once and shared."""

from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor


class Basis:
    """``A = Q diag(values) Q'`` of symmetric matrices, made in float64 when first asked for."""

    def __init__(self, matrix: Float[Tensor, "*many size size"]) -> None:
        self._matrix = matrix.detach()

    @property
    def values(self) -> Float64[Tensor, "*many size"]:
        """Eigenvalues, ascending."""
        return self._pair[0]

    @cached_property
    def vectors(self) -> Float[Tensor, "*many size size"]:
        """``Q``, in the matrix' own type."""
        return self._pair[1].to(self._matrix.dtype)

    @cached_property
    def _pair(self) -> tuple[Tensor, Tensor]:
        # float64: shifts much smaller than the matrix must not drown in its rounding
        wide = self._matrix.double()
        # eigh reads one triangle alone; the mean is the nearest symmetric matrix (Higham 1988)
        values, vectors = torch.linalg.eigh((wide + wide.mT) / 2)
        return values, vectors
