"""Running sums of curvature over examples: what they answer, diagonal and dense."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from counterpoint.gaussian import (
    Dense,
    Diagonal,
    Jacobian,
    LayerJacobian,
    Precision,
    add_squares,
    chunks,
    matrices,
)

_PARTS = 16
"""Additions to a partial sum before it moves into the sum."""


@runtime_checkable
class CurvatureSum(Protocol):
    """A sum under way."""

    @property
    def names(self) -> frozenset[str]:
        """The weights it is about."""
        ...

    @property
    def joint(self) -> bool:
        """Whether it needs the Jacobians of all its weights together."""
        ...

    @property
    def pooled(self) -> bool:
        """Whether it needs no more than sums of squares over directions."""
        ...

    def add(self, jacobian: Jacobian, weight: Float[Tensor, " rows"] | None) -> None:
        """Add some examples: the Jacobian of all its weights, and how much each row counts."""
        ...

    def result(self) -> Precision:
        """The sum so far, in the weights' own type."""
        ...


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type in which curvature of weights of a type is computed: float32 or better."""
    return torch.promote_types(dtype, torch.float32)


class Total:
    """A sum in float64, filled through a partial sum in the type of what is added.

    Products are added in place to `part`, which is cheap and, over so few batches, as exact as the
    products themselves; from time to time it moves into the sum.
    """

    def __init__(self, like: Tensor, shape: torch.Size) -> None:
        dtype = wide(like.dtype)
        self.part = torch.zeros(shape, dtype=dtype, device=like.device)
        # float64 sums of float32 products: the products are as exact as they can be, their sum over
        # a million examples would not be
        self._wide = None if dtype == torch.float64 else self.part.double()
        self._count = 0

    def added(self) -> None:
        """Say that something was added to `part`."""
        self._count += 1
        if self._count % _PARTS == 0:
            self._move()

    def value(self) -> Float64[Tensor, "..."]:
        """The sum."""
        self._move()
        return self.part if self._wide is None else self._wide

    def _move(self) -> None:
        if self._wide is not None:
            self._wide += self.part
            self.part.zero_()


class DiagonalSum:
    """``Σ_n Σ_k J_nk²``, entry by entry."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.names, self.joint, self.pooled = frozenset(weights), False, True
        self._dtypes = {name: wide(value.dtype) for name, value in weights.items()}
        self._totals = {name: Total(value, value.shape) for name, value in weights.items()}

    def add(self, jacobian: Jacobian, weight: Float[Tensor, " rows"] | None) -> None:  # noqa: ARG002
        """Add some examples; row weights are in the Jacobian already."""
        named = {name for entry in jacobian for name in entry.names} & self.names
        add_squares(jacobian, {name: self._totals[name].part for name in named})
        for name in named:
            self._totals[name].added()

    def result(self) -> Diagonal:
        """The diagonal."""
        return Diagonal({n: total.value().to(self._dtypes[n]) for n, total in self._totals.items()})


class DenseSum:
    """``Σ_n Σ_k J_nk J_nk'`` in full.

    Products, too, are in float64: rounded, they lose the eigenvalues that are small beside the
    greatest, where a prior is all that is known.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.names, self.joint, self.pooled = frozenset(weights), True, False
        self._shapes = {name: value.shape for name, value in weights.items()}
        self._like = next(iter(weights.values()))
        self._pairs: list[Tensor] = []
        self._total: Tensor | None = None

    def add(self, jacobian: Jacobian, weight: Float[Tensor, " rows"] | None) -> None:  # noqa: ARG002
        """Add some examples; row weights are in the Jacobian already."""
        if (
            len(jacobian) == 1
            and isinstance(jacobian[0], LayerJacobian)
            and self._is_layer(jacobian[0])
        ):
            self._add_layer(jacobian[0])
            return
        if self._total is None:
            size = sum(shape.numel() for shape in self._shapes.values())
            self._total = _square(self._like, size)
        for part in chunks(jacobian, self._shapes):
            rows = matrices(part, self._shapes).flatten(0, 1).double()
            self._total.addmm_(rows.T, rows)

    def result(self) -> Dense:
        """The matrix."""
        matrix = self._from_pairs() if self._pairs else None
        if self._total is not None:
            matrix = self._total if matrix is None else matrix + self._total
        if matrix is None:
            matrix = _square(self._like, sum(shape.numel() for shape in self._shapes.values()))
        return Dense(matrix, self._shapes)

    def _is_layer(self, entry: LayerJacobian) -> bool:
        """Whether the sum is about one linear map without weight sharing, weight before bias."""
        one = entry.inputs.shape[1] == 1 and entry.inputs.shape[2] == 1
        return one and entry.names == tuple(self._shapes) and entry.weight is not None

    def _add_layer(self, entry: LayerJacobian) -> None:
        """``Σ_n (D_n'D_n) ⊗ a_n a_n'`` by a weighted Gram matrix for each pair of outputs."""
        inputs, deltas = entry.inputs[:, 0, 0].double(), entry.deltas[:, :, 0, 0].double()
        if entry.bias is not None:
            inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
        (_, width), outputs = inputs.shape, deltas.shape[2]
        if not self._pairs:
            sizes = [(first + 1) * width for first in range(outputs)]
            self._pairs = [inputs.new_zeros(width, size) for size in sizes]
        # Σ_n (D'D) ⊗ a a': outputs² Gram matrices of the inputs, each weighted by one entry of D'D
        middle = deltas.mT @ deltas
        for first, total in enumerate(self._pairs):
            scaled = middle[:, first, : first + 1, None] * inputs[:, None, :]
            total.addmm_(inputs.T, scaled.flatten(1))

    def _from_pairs(self) -> Float64[Tensor, "total total"]:
        """All pairs as one matrix, the weights of all outputs before their biases."""
        outputs, width = len(self._pairs), self._pairs[0].shape[0]
        full = torch.zeros(
            outputs, width, outputs, width, dtype=torch.float64, device=self._like.device
        )
        for first, total in enumerate(self._pairs):
            block = total.view(width, first + 1, width)
            full[first, :, : first + 1] = block
            full[: first + 1, :, first] = block.permute(1, 2, 0)
        place = torch.arange(outputs * width, device=full.device).view(outputs, width)
        if len(self._shapes) > 1:
            place = torch.cat([place[:, :-1].flatten(), place[:, -1]])
        place = place.flatten()
        return full.view(outputs * width, outputs * width)[place][:, place]


def _square(like: Tensor, size: int) -> Tensor:
    return torch.zeros(size, size, dtype=torch.float64, device=like.device)
