"""A layer's curvature as a Kronecker product of a side for its outputs and one for its inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.gaussian._basis import Basis
from counterpoint.gaussian._block import beside
from counterpoint.gaussian._dense import Dense
from counterpoint.gaussian._diagonal import Diagonal
from counterpoint.gaussian._jacobian import Jacobian, LayerJacobian, chunks, explicit, no_gram
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._vectors import (
    Shift,
    chosen,
    number,
    padded,
    positive,
    returned,
    scalar,
    split,
    spread,
    uniform,
    wider,
)
from counterpoint.storage import JSONValue


@dataclass(frozen=True, eq=False)
class Factors:
    """Sums over examples of a layer's outer products, and their eigenbases.

    The weight is read as ``weight.reshape(groups, outputs, inputs)``; the bias is its last extra
    column. All that is made of one `Factors` shares its two eigendecompositions.

    Attributes:
        weight: the weight's name.
        bias: the bias' name; none: there is none.
        shape: the weight's own shape.
        left: ``Σ d d'`` for each group.
        right: ``Σ a a'`` for each group, with a last row and column of ones if there is a bias.
        count: examples summed over.
    """

    weight: str
    bias: str | None
    shape: torch.Size
    left: Float[Tensor, "groups outputs outputs"]
    right: Float[Tensor, "groups inputs inputs"]
    count: Float64[Tensor, ""]

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Of the weight and, if there is one, the bias."""
        found = {self.weight: self.shape}
        if self.bias is not None:
            found[self.bias] = torch.Size([self.left.shape[0] * self.left.shape[1]])
        return found

    @cached_property
    def bases(self) -> tuple[Basis, Basis]:
        """Of left and right."""
        return Basis(self.left), Basis(self.right)

    def products(self) -> Float64[Tensor, "groups outputs inputs"]:
        """Eigenvalues of ``left ⊗ right / count``, none below zero."""
        # sums of outer products: what is below zero is rounding
        left, right = (basis.values.clamp_min(0) for basis in self.bases)
        return left[:, :, None] * (right / self.examples)[:, None, :]

    @property
    def examples(self) -> Float64[Tensor, ""]:
        """The count to divide by: without examples both sides are zero."""
        return torch.where(self.count > 0, self.count, torch.ones_like(self.count))

    def join(self, vector: Mapping[str, Tensor]) -> Shaped[Tensor, "*lead groups outputs inputs"]:
        """Weight and bias side by side."""
        groups, outputs = self.left.shape[:2]
        weight = vector[self.weight]
        lead = weight.shape[: weight.ndim - len(self.shape)]
        weight = weight.reshape(*lead, groups, outputs, -1)
        if self.bias is None:
            return weight
        return torch.cat([weight, vector[self.bias].reshape(*lead, groups, outputs, 1)], -1)

    def part(self, joined: Float[Tensor, "*lead groups outputs inputs"]) -> dict[str, Tensor]:
        """What `join` put together."""
        lead = joined.shape[:-3]
        if self.bias is None:
            return {self.weight: joined.reshape(*lead, *self.shape)}
        weight, bias = joined[..., :-1], joined[..., -1]
        return {
            self.weight: weight.reshape(*lead, *self.shape),
            self.bias: bias.reshape(*lead, -1),
        }

    def widened(self, shape: torch.Size) -> "Factors":
        """The same sums for a larger weight, zeros where it is new."""
        old, (groups, outputs, _) = self.shape, self.left.shape
        if groups > 1 or len(shape) != len(old) or shape[2:] != old[2:]:
            raise InputError(
                f"growth: {self.weight!r} of a Kronecker layer may grow by outputs and inputs,"
                f" found {tuple(shape)} for {tuple(old)} in {groups} groups"
            )
        # the bias is the last column, before and after
        place = torch.arange(self.right.shape[1], device=self.right.device)
        inputs = shape[1:].numel()
        if self.bias is not None:
            place[-1] = inputs
        left = self.left.new_zeros(1, shape[0], shape[0])
        left[:, :outputs, :outputs] = self.left
        size = inputs + (self.bias is not None)
        right = self.right.new_zeros(1, size, size)
        right[:, place[:, None], place] = self.right
        return replace(self, left=left, right=right, shape=shape)

    def __add__(self, other: "Factors") -> "Factors":
        """The factors over both sets of examples.

        Raises:
            InputError: they are of another layer.
        """
        mine, theirs = (self.weight, self.bias, self.shape), (other.weight, other.bias, other.shape)
        if mine != theirs or self.left.shape != other.left.shape:
            raise InputError(f"factors: must be of the same layer, found {mine} and {theirs}")
        return replace(
            self,
            left=self.left + other.left,
            right=self.right + other.right,
            count=self.count + other.count,
        )


@dataclass(frozen=True, eq=False)
class Kronecker(Precision):
    """``P = scale (left ⊗ right / count) + delta I`` (Martens & Grosse 2015).

    Attributes:
        factors: the sums, whose eigenbases all multiples and shifts share.
        scale: kept as a 0-d tensor.
        delta: kept as a 0-d tensor: a prior's precision, or damping.
        shapes: the layer's weight and bias.
    """

    factors: Factors
    scale: float | Tensor = 1.0
    delta: float | Tensor = 0.0
    shapes: dict[str, torch.Size] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", scalar(self.scale))
        object.__setattr__(self, "delta", scalar(self.delta))
        object.__setattr__(self, "shapes", self.factors.shapes)

    @property
    def like(self) -> Tensor:
        """The left factor."""
        return self.factors.left

    def scaled(self, factor: float | Tensor) -> "Kronecker":
        """``factor P``."""
        return replace(self, scale=self.scale * factor, delta=self.delta * factor)

    def shift(self, by: Shift) -> Precision:
        """A Kronecker product with one number for the whole layer, else a `Sum` with a diagonal."""
        one = uniform(by, self.shapes)
        if one is not None:
            return replace(self, delta=self.delta + one)
        return self + Diagonal(spread(by, self.shapes, self.like))

    def mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``scale left V right / count + delta V``, without a decomposition."""
        joined = self._joined(vector)
        left, right = self.factors.left.to(joined.dtype), self.factors.right.to(joined.dtype)
        product = left @ joined @ right
        return self._parted(
            product * (self.scale / self.factors.examples) + self.delta * joined, vector
        )

    def solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Division in the eigenbasis."""
        return self._turned(self._turn(self._joined(vector)) / self._table, vector)

    def root_mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``R = Q sqrt(eigenvalues)``."""
        return self._turned(self._joined(vector) * self._table.sqrt(), vector)

    def root_solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``R'⁻¹ = Q / sqrt(eigenvalues)``."""
        return self._turned(self._joined(vector) / self._table.sqrt(), vector)

    def logdet(self) -> Float[Tensor, ""]:
        """``Σ log(scale l_left l_right / count + delta)``."""
        positive(self.least(), f"kronecker precision of {self.factors.weight!r}")
        return (self.factors.products() * self.scale + self.delta).log().sum()

    def pull(self, jacobian: Jacobian) -> Float[Tensor, "rows columns columns"]:
        """Inputs and deltas turned into the eigenbasis, then as for a diagonal."""
        entries = [entry for entry in jacobian if self.shapes.keys() & set(entry.names)]
        outers = [self._rotated(entry) for entry in entries if isinstance(entry, LayerJacobian)]
        if not entries:
            return no_gram(jacobian)
        if len(outers) == len(entries):
            inputs, deltas = outers[0]
            if len(outers) > 1:
                inputs = torch.cat([inputs for inputs, _ in outers], 2)
                deltas = torch.cat([deltas for _, deltas in outers], 3)
            inverse = (1 / self._table).to(deltas.dtype)
            return LayerJacobian("w", None, inputs, deltas).gram({"w": inverse})
        found: list[Tensor] = []
        for part in chunks(jacobian, self.shapes):
            full = self.factors.join(explicit(part, self.shapes))
            root = (self._turn(full) / self._table.sqrt().to(full.dtype)).flatten(2)
            found.append(root @ root.mT)
        return torch.cat(found)

    def diagonal(self) -> dict[str, Tensor]:
        """Products of the factors' diagonals."""
        left, right = (
            side.diagonal(dim1=1, dim2=2) for side in (self.factors.left, self.factors.right)
        )
        # diag(A ⊗ B) = diag(A) ⊗ diag(B)
        table = left[:, :, None] * right[:, None, :] * (self.scale / self.factors.examples)
        return self.factors.part(table + self.delta)

    def variances(self) -> dict[str, Tensor]:
        """``Q² (1 / eigenvalues)``."""
        # (Q_l ⊗ Q_r)² acts on 1 / eigenvalues as two small products
        left, right = (basis.vectors.square() for basis in self.factors.bases)
        return self.factors.part(left @ (1 / self._table) @ right.mT)

    def dense(self) -> Float[Tensor, "total total"]:
        """The product in the order of `shapes`."""
        factors = self.factors
        groups = zip(factors.left, factors.right, strict=True)
        blocks = torch.block_diag(*(torch.kron(left, right) for left, right in groups))
        size = blocks.shape[0]
        # where each entry of the flat vector stands in vec(left ⊗ right), found by joining numbers
        order = factors.join(split(torch.arange(size), self.shapes))
        place = order.flatten().argsort()
        eye = torch.eye(size, dtype=blocks.dtype, device=blocks.device)
        return blocks[place][:, place] * (self.scale / factors.examples) + self.delta * eye

    def least(self) -> float:
        """The least of the eigenvalues."""
        return float((self.factors.products() * self.scale + self.delta).detach().min())

    def restrict(self, names: Sequence[str]) -> Precision:
        """The weight alone is a Kronecker product again, the bias alone is dense."""
        factors, wanted = self.factors, chosen(names, self.shapes)
        if wanted == self.shapes:
            return self
        right = factors.right
        if factors.weight in wanted:
            weight = replace(factors, bias=None, right=right[:, :-1, :-1].contiguous())
            return replace(self, factors=weight)
        corner = right[:, -1, -1] / factors.examples
        matrix = torch.block_diag(*(factors.left * corner[:, None, None]))
        return Dense(matrix, wanted, scale=self.scale, delta=self.delta)

    def marginal(self, names: Sequence[str]) -> Precision:
        """Of the whole layer only.

        Raises:
            InputError: a part of the layer is asked for.
        """
        wanted = chosen(names, self.shapes)
        if wanted != self.shapes:
            raise InputError(
                f"marginal: of a Kronecker layer only as a whole ({', '.join(self.shapes)}), found"
                f" {', '.join(wanted)}; Dense(precision.dense(), precision.shapes) has the marginal"
            )
        return self

    def widened(self, shapes: Mapping[str, torch.Size]) -> Precision:
        """Factors with rows and columns of zeros; a layer grows by outputs and inputs.

        Raises:
            InputError: it has groups, or grew otherwise (another kernel size).
        """
        mine = {name: shapes[name] for name in self.shapes}
        if mine == self.shapes:
            return beside([self], shapes)
        grown = Kronecker(self.factors.widened(mine[self.factors.weight]), self.scale)
        if number(self.delta) == 0:
            return beside([grown], shapes)
        # the identity that was added is one of the old weights alone
        old = {name: self.like.new_full(s, number(self.delta)) for name, s in self.shapes.items()}
        return beside([grown + Diagonal(padded(old, mine))], shapes)

    def fewer(self, share: float) -> "Kronecker":
        """The sums and the count scaled, so that factors pooled with it weigh them right."""
        factors = self.factors
        part = replace(
            factors,
            left=factors.left * share,
            right=factors.right * share,
            count=factors.count * share,
        )
        return replace(self, factors=part, delta=self.delta * share)

    def pooled(self, other: "Kronecker") -> "Kronecker":
        """The same approximation over the joined examples; deltas add.

        Raises:
            InputError: of another layer, or scaled differently.
        """
        # s(A ⊗ B) + t(C ⊗ D) is no multiple of a product of sums unless s = t
        if number(self.scale) != number(other.scale):
            raise InputError(
                f"pool: {self.factors.weight!r} must have one scale in both, found"
                f" {number(self.scale):.6g} and {number(other.scale):.6g}"
            )
        return Kronecker(self.factors + other.factors, self.scale, self.delta + other.delta)

    def double(self) -> "Kronecker":
        """Itself: its factors are decomposed in float64 whatever their type."""
        return self

    def tensors(self) -> dict[str, Tensor]:
        """The factors' sums."""
        return {name: getattr(self.factors, name) for name in ("left", "right", "count")}

    def spec(self) -> JSONValue:
        """Kind, names, the weight's shape, scale and delta."""
        return {
            "kind": "kronecker",
            "weight": self.factors.weight,
            "bias": self.factors.bias,
            "shape": list(self.factors.shape),
            "scale": number(self.scale),
            "delta": number(self.delta),
        }

    @cached_property
    def _table(self) -> Float[Tensor, "groups outputs inputs"]:
        # without a graph: it outlives one backward pass
        positive(self.least(), f"kronecker precision of {self.factors.weight!r}")
        table = self.factors.products() * self.scale + self.delta
        return table.detach().to(self.like.dtype)

    def _turn(self, joined: Tensor) -> Tensor:
        left, right = (basis.vectors.to(joined.dtype) for basis in self.factors.bases)
        return left.mT @ joined @ right

    def _turned(self, turned: Tensor, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        left, right = (basis.vectors.to(turned.dtype) for basis in self.factors.bases)
        return self._parted(left @ turned @ right.mT, vector)

    def _joined(self, vector: Mapping[str, Tensor]) -> Tensor:
        joined = self.factors.join(vector)
        return joined.to(wider(joined, self.like))

    def _parted(self, joined: Tensor, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return returned(self.factors.part(joined), vector)

    def _rotated(self, entry: LayerJacobian) -> tuple[Tensor, Tensor]:
        inputs = entry.inputs
        if entry.weight != self.factors.weight:
            inputs = torch.zeros_like(inputs)
        if self.factors.bias is not None:
            asked = float(entry.bias == self.factors.bias)
            inputs = torch.cat([inputs, torch.full_like(inputs[..., :1], asked)], -1)
        left, right = (basis.vectors.to(inputs.dtype) for basis in self.factors.bases)
        # one product for all rows: broadcasting would make one for each row and column
        inputs = torch.einsum("bgti,gij->bgtj", inputs, right)
        # of a last layer all rows have the same deltas, the identity: turned once for all of them
        shared = entry.deltas.stride(0) == 0 and entry.deltas.shape[0] > 1
        deltas = entry.deltas[:1] if shared else entry.deltas
        return inputs, torch.einsum("bkgto,gop->bkgtp", deltas, left).expand(entry.deltas.shape)
