"""A precision in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from counterpoint.gaussian._basis import Basis
from counterpoint.gaussian._jacobian import (
    NUMBERS,
    Jacobian,
    LayerJacobian,
    chunks,
    matrices,
    slices,
)
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._vectors import (
    Shift,
    cholesky,
    chosen,
    flat,
    number,
    positions,
    positive,
    returned,
    scalar,
    split,
    spread,
    uniform,
    wider,
)
from counterpoint.storage import JSONValue

_RESOLUTION = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Relative size below which a negative eigenvalue is taken for rounding."""

_SETTLED = 1e-5
"""Relative rounding of the least variance up to which variances are taken from ``P⁻¹`` itself."""

_TOGETHER = 512
"""Rows of a product with ``P⁻¹`` at a time: more leave the cache."""


@dataclass(frozen=True, eq=False)
class Dense(Precision):
    """``P = scale matrix + delta I``.

    >>> p = Dense(torch.tensor([[2.0, 1.0], [1.0, 2.0]]), {"w": torch.Size([2])})
    >>> round(float(p.logdet().exp()), 6), round(float(p.shift(1.0).logdet().exp()), 6)
    (3.0, 8.0)

    Attributes:
        matrix: symmetric, in the order of `shapes`.
        shapes: the weights' names and shapes.
        scale: kept as a 0-d tensor.
        delta: kept as a 0-d tensor.
        basis: the eigendecomposition that multiples and shifts share.
    """

    matrix: Float[Tensor, "total total"]
    shapes: dict[str, torch.Size]
    scale: float | Tensor = 1.0
    delta: float | Tensor = 0.0
    basis: Basis | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", scalar(self.scale))
        object.__setattr__(self, "delta", scalar(self.delta))
        object.__setattr__(self, "basis", self.basis or Basis(self.matrix))

    @property
    def like(self) -> Tensor:
        """The matrix."""
        return self.matrix

    @property
    def jitter(self) -> float:
        """What the eigenvalues were raised by to be positive in spite of rounding; usually 0."""
        return self._levels[1]

    def scaled(self, factor: float | Tensor) -> "Dense":
        """``factor P``."""
        return replace(self, scale=self.scale * factor, delta=self.delta * factor)

    def shift(self, by: Shift) -> "Dense":
        """With one number the eigenbasis stays, else the matrix is a new one."""
        one = uniform(by, self.shapes)
        if one is not None:
            return replace(self, delta=self.delta + one)
        full = flat(spread(by, self.shapes, self.matrix), self.shapes)
        return Dense(self.dense() + full.diag(), self.shapes)

    def mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``scale matrix v + delta v``."""
        v = self._flat(vector)
        product = v @ self.matrix.to(v.dtype) * self.scale + self.delta * v
        return self._split(product, vector)

    def solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Division in the eigenbasis."""
        v = self._flat(vector)
        basis = self._vectors.to(v.dtype)
        return self._split(v @ basis / self._values @ basis.T, vector)

    def root_mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``R = Q sqrt(eigenvalues)``."""
        v = self._flat(vector)
        return self._split(v * self._values.sqrt() @ self._vectors.to(v.dtype).T, vector)

    def root_solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``R'⁻¹ = Q / sqrt(eigenvalues)``."""
        v = self._flat(vector)
        return self._split(v @ self._root.to(v.dtype).T, vector)

    def logdet(self) -> Float[Tensor, ""]:
        """``Σ log eigenvalues``; through a Cholesky root where the matrix itself has a graph."""
        # eigenvalues that coincide have no derivative of their vectors; Cholesky always has one
        if self.matrix.requires_grad:
            root = cholesky(self.dense(), "dense precision")
            return 2 * root.diagonal().log().sum()
        values = self._basis.values * self.scale + self.delta
        return (values + self.jitter).log().sum()

    def pull(self, jacobian: Jacobian) -> Float[Tensor, "rows columns columns"]:
        """From ``J R'⁻¹``, without ``J`` where one layer without shared weights is all of it."""
        entries = [entry for entry in jacobian if self.shapes.keys() & set(entry.names)]
        if (
            len(entries) == 1
            and isinstance(entries[0], LayerJacobian)
            and self._covered_by(entries[0])
        ):
            return self._pull_outer(entries[0])
        found: list[Tensor] = []
        for part in chunks(jacobian, self.shapes):
            root = matrices(part, self.shapes)
            root = root @ self._root.to(root.dtype)
            found.append(root @ root.mT)
        return torch.cat(found)

    def diagonal(self) -> dict[str, Tensor]:
        """Of the matrix."""
        return split(self.matrix.diagonal() * self.scale + self.delta, self.shapes)

    def variances(self) -> dict[str, Tensor]:
        """Row sums of ``Q² / eigenvalues``."""
        return split(self._root.square().sum(1), self.shapes)

    def dense(self) -> Float[Tensor, "total total"]:
        """The matrix itself."""
        eye = torch.eye(self.total, dtype=self.matrix.dtype, device=self.matrix.device)
        return self.matrix * self.scale + self.delta * eye

    def least(self) -> float:
        """The least of the eigenvalues."""
        return float((self._basis.values * self.scale + self.delta).detach().min())

    def restrict(self, names: Sequence[str]) -> "Dense":
        """The principal block."""
        wanted = chosen(names, self.shapes)
        place = positions(wanted, self.shapes)
        return replace(self, matrix=self.matrix[place][:, place], shapes=wanted, basis=None)

    def marginal(self, names: Sequence[str]) -> "Dense":
        """The Schur complement ``P_aa - P_ab P_bb⁻¹ P_ba``."""
        wanted = chosen(names, self.shapes)
        rest = [name for name in self.shapes if name not in wanted]
        if not rest:
            return self
        kept, gone = positions(wanted, self.shapes), positions(rest, self.shapes)
        full = self.dense().double()
        root = cholesky(full[gone][:, gone], "dense precision")
        across = torch.linalg.solve_triangular(root, full[gone][:, kept], upper=False)
        # P_ba' P_bb⁻¹ P_ba as a square, so that the difference stays symmetric
        block = full[kept][:, kept] - across.T @ across
        return Dense(block.to(self.matrix.dtype), wanted)

    def widened(self, shapes: Mapping[str, torch.Size]) -> "Dense":
        """The matrix among rows and columns of zeros."""
        sizes = [shape.numel() for shape in shapes.values()]
        order = torch.arange(sum(sizes), device=self.matrix.device).split(sizes)
        places = {n: part.view(s) for (n, s), part in zip(shapes.items(), order, strict=True)}
        old = [places[n][tuple(map(slice, s))].reshape(-1) for n, s in self.shapes.items()]
        place = torch.cat(old)
        full = self.matrix.new_zeros(sum(sizes), sum(sizes))
        full[place[:, None], place] = self.dense()
        return Dense(full, dict(shapes))

    def fewer(self, share: float) -> "Dense":
        """``share P``."""
        return self.scaled(share)

    def double(self) -> "Dense":
        """Itself in float64, else the nearest positive semidefinite matrix there."""
        if self.matrix.dtype == torch.float64:
            return self
        # negative eigenvalues are set to zero (Higham 1988)
        values, vectors = torch.linalg.eigh(self.dense().double())
        matrix = (vectors * values.clamp_min(0)) @ vectors.T
        return Dense((matrix + matrix.T) / 2, self.shapes)

    def tensors(self) -> dict[str, Tensor]:
        """The matrix."""
        return {"matrix": self.matrix}

    def spec(self) -> JSONValue:
        """Kind, names and shapes, scale and delta."""
        return {
            "kind": "dense",
            "shapes": [[name, list(shape)] for name, shape in self.shapes.items()],
            "scale": number(self.scale),
            "delta": number(self.delta),
        }

    def _flat(self, vector: Mapping[str, Tensor]) -> Float[Tensor, "... total"]:
        v = flat(vector, self.shapes)
        return v.to(wider(v, self.matrix))

    def _split(
        self, answer: Float[Tensor, "... total"], vector: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        return returned(split(answer, self.shapes), vector)

    @property
    def _basis(self) -> Basis:
        return self.basis or Basis(self.matrix)

    @cached_property
    def _levels(self) -> tuple[Float64[Tensor, " total"], float]:
        values = (self._basis.values * self.scale + self.delta).detach()
        # a sum of squares has eigenvalues of zero that rounding makes slightly negative: these are
        # raised to the rounding of the greatest; what is more negative is refused, for it is meant
        least, greatest = float(values.min()), float(values.abs().max())
        floor = 10 * torch.finfo(self.matrix.dtype).eps * greatest
        if least >= floor and least > 0:
            return values, 0.0
        if greatest == 0 or least < -_RESOLUTION.get(self.matrix.dtype, 1e-5) * greatest:
            positive(min(least, 0.0), "dense precision")
        return values + (floor - least), floor - least

    @property
    def _vectors(self) -> Tensor:
        return self._basis.vectors

    @property
    def _values(self) -> Tensor:
        return self._levels[0].to(self.matrix.dtype)

    @cached_property
    def _root(self) -> Float[Tensor, "total total"]:
        return self._vectors / self._values.sqrt()

    @cached_property
    def _inverse(self) -> Float[Tensor, "total total"]:
        return self._root @ self._root.T

    def _covered_by(self, entry: LayerJacobian) -> bool:
        one = entry.deltas.shape[2:4] == (1, 1)
        return one and list(entry.names) == list(self.shapes) and entry.weight is not None

    def _pull_outer(self, entry: LayerJacobian) -> Float[Tensor, "rows columns columns"]:
        rows, values = entry.deltas.shape[0], self._values
        rounding = torch.finfo(entry.deltas.dtype).eps * float(values.max() / values.min())
        # many rows pay for P⁻¹ and then cost half; what is large in it must not drown the small
        settled = 4 * rows >= self.total and rounding <= _SETTLED
        pulled = self._pull_by_pairs if settled else self._pull_by_root
        each = NUMBERS // max(1, entry.deltas.shape[4] * self.total)
        parts = slices(rows, max(1, min(_TOGETHER, each)))
        return torch.cat([pulled(entry.take(part)) for part in parts])

    def _pull_by_root(self, entry: LayerJacobian) -> Float[Tensor, "rows columns columns"]:
        # for each output o, z_o = [a; 1]' R_o, so that the middle matrix is z z'
        inputs, deltas = entry.inputs[:, 0, 0], entry.deltas[:, :, 0, 0]
        outputs = deltas.shape[2]
        size = outputs * inputs.shape[1]
        root = self._root.to(inputs.dtype)
        z = (inputs @ root[:size].view(outputs, -1, self.total)).transpose(0, 1)
        if entry.bias is not None:
            z = z + root[size:]
        if deltas.shape[1] < outputs:
            pulled = deltas @ z
            return pulled @ pulled.mT
        # more directions than outputs: the outputs' covariance first
        return deltas @ (z @ z.mT) @ deltas.mT

    def _pull_by_pairs(self, entry: LayerJacobian) -> Float[Tensor, "rows columns columns"]:
        # for each pair of outputs, [a; 1]' S [a; 1] with their block of S = P⁻¹
        inputs, deltas = entry.inputs[:, 0, 0], entry.deltas[:, :, 0, 0]
        (rows, width), outputs = inputs.shape, deltas.shape[2]
        size = outputs * width
        middle, inverse = inputs.new_empty(rows, outputs, outputs), self._inverse.to(inputs.dtype)
        for first in range(outputs):
            until, block = first + 1, inverse[first * width : (first + 1) * width]
            turned = inputs @ block[:, : until * width]
            across = torch.zeros_like(middle[:, 0, :until])
            if entry.bias is not None:
                bias = inverse[size + first]
                turned += bias[: until * width]
                across = inputs @ block[:, size : size + until] + bias[size : size + until]
            pairs = turned.view(rows, until, width).mul_(inputs[:, None]).sum(2) + across
            middle[:, first, :until] = middle[:, :until, first] = pairs
        return deltas @ middle @ deltas.mT
