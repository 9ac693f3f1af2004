"""Running sums of curvature over examples, one class a structure."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.gaussian import (
    Dense,
    Diagonal,
    Factors,
    Jacobian,
    Kronecker,
    Outer,
    Precision,
    chunks,
    explicit,
    squares,
)

__all__ = ["DenseSum", "DiagonalSum", "KroneckerSum", "Running"]


@runtime_checkable
class Running(Protocol):
    """A sum under way."""

    @property
    def names(self) -> frozenset[str]:
        """The weights it is about."""
        ...

    @property
    def joint(self) -> bool:
        """Whether it needs the Jacobians of all its weights together."""
        ...

    def add(self, jacobian: Jacobian, weight: Float[Tensor, " rows"] | None) -> None:
        """Add some examples: the Jacobian of all its weights, and how much each row counts."""
        ...

    def result(self) -> Precision:
        """The sum so far, in the weights' own type."""
        ...


class DiagonalSum:
    """``Σ_n Σ_k J_nk²``, entry by entry; kept in float64.

    Args:
        weights: name -> weight.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.names, self.joint = frozenset(weights), False
        self._dtypes = {name: value.dtype for name, value in weights.items()}
        self._shapes = {name: value.shape for name, value in weights.items()}
        self._total = {name: _zeros(value, value.shape) for name, value in weights.items()}

    def add(self, jacobian: Jacobian, weight: Float[Tensor, " rows"] | None) -> None:  # noqa: ARG002
        """Add some examples; row weights are in the Jacobian already."""
        named = {name for entry in jacobian for name in entry.names} & self.names
        found = squares(jacobian, {name: self._shapes[name] for name in named})
        for name, value in found.items():
            self._total[name] += value

    def result(self) -> Diagonal:
        """The diagonal."""
        return Diagonal({n: value.to(self._dtypes[n]) for n, value in self._total.items()})


class DenseSum:
    """``Σ_n Σ_k J_nk J_nk'`` in full; kept in float64.

    Args:
        weights: name -> weight.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.names, self.joint = frozenset(weights), True
        self._shapes = {name: value.shape for name, value in weights.items()}
        first = next(iter(weights.values()))
        size = sum(value.numel() for value in weights.values())
        self._dtype = first.dtype
        self._total = _zeros(first, torch.Size([size, size]))

    def add(self, jacobian: Jacobian, weight: Float[Tensor, " rows"] | None) -> None:  # noqa: ARG002
        """Add some examples; row weights are in the Jacobian already."""
        if len(jacobian) == 1 and isinstance(jacobian[0], Outer) and self._is_layer(jacobian[0]):
            _add_layer(self._total, jacobian[0])
            return
        for part in chunks(jacobian, self._shapes):
            full = explicit(part, self._shapes)
            rows = torch.cat([value.flatten(2) for value in full.values()], 2).flatten(0, 1)
            self._total += rows.T @ rows

    def result(self) -> Dense:
        """The matrix."""
        return Dense(self._total.to(self._dtype), self._shapes)

    def _is_layer(self, entry: Outer) -> bool:
        """Whether the sum is about one linear map without weight sharing, weight before bias."""
        one = entry.inputs.shape[1] == 1 and entry.inputs.shape[2] == 1
        return one and entry.names == tuple(self._shapes) and entry.weight is not None


class KroneckerSum:
    """Kronecker factors of one linear map: ``Σ w a a'`` of its inputs, ``Σ d d'`` of its deltas.

    With weight sharing, ``expand`` takes every position for an example of its own; ``reduce`` the
    mean input and the summed delta of an example (Eschenhagen et al. 2023, eqs. 8 and 9). A
    position whose deltas are all zero (padding, a masked token) is left out, so the factors do not
    depend on how far a batch was padded.

    Args:
        weights: name -> weight: the map's weight, then its bias if it has one.
        reduce: which of the two.
    """

    def __init__(self, weights: Mapping[str, Tensor], *, reduce: bool = False) -> None:
        self.names, self.joint = frozenset(weights), False
        self._names, self._reduce = tuple(weights), reduce
        self._weight = next(iter(weights.values()))
        self._left: Tensor | None = None
        self._right: Tensor | None = None
        self._count = _zeros(self._weight, torch.Size([]))

    def add(self, jacobian: Jacobian, weight: Float[Tensor, " rows"] | None) -> None:
        """Add some examples."""
        for entry in jacobian:
            if isinstance(entry, Outer):
                self._add(entry, weight)

    def _add(self, entry: Outer, weight: Float[Tensor, " rows"] | None) -> None:
        inputs, deltas = entry.inputs, entry.deltas
        rows, _, positions = inputs.shape[:3]
        used = inputs.new_ones(rows, 1, 1) if weight is None else weight.to(inputs)[:, None, None]
        if positions > 1:
            used = used * (deltas != 0).any(4).any(1).any(1)[:, None, :]
        if self._reduce and positions > 1:
            inputs, deltas, used = _reduced(inputs, deltas, used)
        if entry.bias is not None:
            inputs = torch.cat([inputs, torch.ones_like(inputs[..., :1])], 3)
        # groups x (rows and positions) x width
        wide = inputs.transpose(0, 1).flatten(1, 2)
        tall = deltas.movedim(2, 0).flatten(1, 3)
        if weight is None and positions == 1:
            right = wide.mT @ wide
        else:
            right = wide.mT @ (wide * used.transpose(0, 1).flatten(1)[..., None])
        self._put(tall.mT @ tall, right)
        self._count += used.sum()

    def _put(self, left: Tensor, right: Tensor) -> None:
        if self._left is None or self._right is None:
            self._left, self._right = left.double(), right.double()
        else:
            self._left += left
            self._right += right

    def result(self) -> Kronecker:
        """The factors."""
        name, bias = (*self._names, None)[:2]
        if self._left is None or self._right is None:  # a map that never reached the output
            outputs, inputs = self._weight.shape[0], self._weight[0].numel() + (bias is not None)
            self._put(_square(self._weight, outputs), _square(self._weight, inputs))
            self._count += 1
            return self.result()
        dtype = self._weight.dtype
        factors = Factors(
            str(name),
            bias,
            self._weight.shape,
            self._left.to(dtype),
            self._right.to(dtype),
            self._count,
        )
        return Kronecker(factors)


def _reduced(inputs: Tensor, deltas: Tensor, used: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean input, summed delta, and weight of each example, over its positions."""
    total = (used > 0).to(inputs).sum(2, keepdim=True)
    share = (used > 0).to(inputs) / total.clamp_min(1)
    mean = (inputs * share[..., None]).sum(2, keepdim=True)
    return mean, deltas.sum(3, keepdim=True), used.amax(2, keepdim=True)


def _add_layer(total: Float[Tensor, "total total"], entry: Outer) -> None:
    """``Σ_n (D_n'D_n) ⊗ a_n a_n'`` by a weighted Gram matrix for each pair of outputs."""
    inputs, deltas = entry.inputs[:, 0, 0], entry.deltas[:, :, 0, 0]
    width, outputs = inputs.shape[1], deltas.shape[2]
    middle = deltas.mT @ deltas
    biased = entry.bias is not None
    if biased:
        inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
    weights = total[: outputs * width, : outputs * width].view(outputs, width, outputs, width)
    for first in range(outputs):
        scaled = middle[:, first, : first + 1, None] * inputs[:, None, :]
        block = (inputs.T @ scaled.flatten(1)).view(-1, first + 1, inputs.shape[1])
        for second in range(first + 1):
            _put_block(weights, total, block[:, second], (first, second), biased)


def _put_block(
    weights: Tensor, total: Tensor, block: Tensor, pair: tuple[int, int], biased: bool
) -> None:
    """One pair of outputs, and its mirror image."""
    outputs, width = weights.shape[:2]
    mirrored = [] if pair[0] == pair[1] else [(pair[1], pair[0], block.T)]
    for left, right, part in [(*pair, block), *mirrored]:
        weights[left, :, right] += part[:width, :width]
        if biased:
            place, inside = outputs * width, slice(left * width, (left + 1) * width)
            total[inside, place + right] += part[:width, width]
            total[place + right, inside] += part[:width, width]
            total[place + left, place + right] += part[width, width]


def _square(like: Tensor, size: int) -> Tensor:
    return _zeros(like, torch.Size([1, size, size]))


def _zeros(like: Tensor, shape: torch.Size) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64, device=like.device)
