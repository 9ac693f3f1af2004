"""Jacobians in factored form: what a layer's input and its output's deltas say, never multiplied.

Rows are examples and columns are directions of the output. `explicit` multiplies a Jacobian out
(for the few that need it), `squares` and `grams` give what is nearly always asked for instead.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from counterpoint.errors import InputError

NUMBERS = 2**24
"""Numbers that a chunk of an explicit Jacobian holds at most (if it is more than one row)."""

_TOGETHER = 25
"""Rows of a product over positions at a time: more leave the cache."""


@dataclass(frozen=True, eq=False)
class LayerJacobian:
    """``J_k = Σ_t d_kt a_t'`` for the weight of a linear map, ``J_k = Σ_t d_kt`` for its bias.

    The weight is read as ``weight.reshape(groups, outputs, inputs)`` and the bias as
    ``bias.reshape(groups, outputs)``. A linear layer has one group, and one position an example
    unless the example is a sequence; a convolution is a linear map of patches, a position each.

    Attributes:
        weight: the weight's name; none: only the bias is asked for.
        bias: the bias' name; none: there is no bias, or only the weight is asked for.
        inputs: ``a``.
        deltas: ``d``, derivatives of the output directions by the layer's output.
    """

    weight: str | None
    bias: str | None
    inputs: Float[Tensor, "rows groups positions inputs"]
    deltas: Float[Tensor, "rows columns groups positions outputs"]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters it speaks of."""
        return tuple(name for name in (self.weight, self.bias) if name is not None)

    def keep(self, names: set[str]) -> "LayerJacobian":
        """The part about `names`."""
        weight, bias = (name if name in names else None for name in (self.weight, self.bias))
        return replace(self, weight=weight, bias=bias)

    def take(self, rows: slice) -> "LayerJacobian":
        """Some of the rows."""
        return replace(self, inputs=self.inputs[rows], deltas=self.deltas[rows])

    def expand(self, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
        """Multiplied out: name -> ``(rows, columns, *shape)``."""
        lead, found = self.deltas.shape[:2], dict[str, Tensor]()
        if self.weight is not None:
            full = torch.einsum("bgti,bkgto->bkgoi", self.inputs, self.deltas)
            found[self.weight] = full.reshape(*lead, *shapes[self.weight])
        if self.bias is not None:
            found[self.bias] = self.deltas.sum(3).reshape(*lead, *shapes[self.bias])
        return found

    def add_squares(self, into: Mapping[str, Tensor]) -> None:
        """Add sums of squares over rows and columns, in place."""
        groups, outputs = self.deltas.shape[2], self.deltas.shape[4]
        one = self.inputs.shape[2] == 1
        # one position: (d a')² = d² a'², so the columns pool before the only product
        pooled = _pooled(self.deltas[:, :, :, 0]) if one else None
        if self.weight is not None:
            total = into[self.weight].view(groups, outputs, -1)
            if pooled is not None:
                add_products(
                    total, pooled.transpose(0, 1), self.inputs[:, :, 0].square().transpose(0, 1)
                )
            else:
                self._add_stacked(total)
        if self.bias is not None:
            if pooled is None:
                pooled = _pooled(self.deltas.sum(3))
            into[self.bias].view(groups, outputs).add_(pooled.sum(0))

    def gram(self, weights: Mapping[str, Tensor]) -> Float[Tensor, "rows columns columns"]:
        """``J diag(weights) J'``."""
        if self.inputs.shape[2] > 1:
            shapes = {name: weights[name].shape for name in self.names}
            parts = chunks([self], shapes)
            return torch.cat([_gram(explicit(part, shapes), weights) for part in parts])
        groups, outputs = self.deltas.shape[2], self.deltas.shape[4]
        # J diag(s) J' = D diag(Σ_i s_oi a_i²) D': rows of a layer's Jacobian are d ⊗ a
        scale = self.deltas.new_zeros(self.deltas.shape[0], groups, outputs)
        if self.weight is not None:
            table = weights[self.weight].reshape(groups, outputs, -1)
            scale = torch.einsum("bgi,goi->bgo", self.inputs[:, :, 0].square(), table)
        if self.bias is not None:
            scale = scale + weights[self.bias].reshape(groups, outputs)
        root = (self.deltas[:, :, :, 0] * scale.sqrt()[:, None]).flatten(2)
        return root @ root.transpose(1, 2)

    def _add_stacked(self, total: Float[Tensor, "groups outputs inputs"]) -> None:
        rows, columns, groups, _, outputs = self.deltas.shape
        inputs = self.inputs.shape[3]
        each = max(1, groups * columns * outputs * inputs)
        for part in slices(rows, min(_TOGETHER, max(1, NUMBERS // each))):
            # columns beside outputs, so that the inputs are read once
            deltas = self.deltas[part].permute(0, 2, 1, 4, 3).flatten(2, 3)
            product = deltas @ self.inputs[part]
            total += product.square_().sum(0).view(groups, columns, outputs, inputs).sum(1)


@dataclass(frozen=True, eq=False)
class LookupJacobian:
    """``J_k[v] = Σ_{t: index_t = v} d_kt``: the rows of a table that were looked up.

    Attributes:
        weight: the table's name.
        index: the row at each position; -1: none (padding).
        deltas: derivatives of the output directions by what was looked up.
    """

    weight: str
    index: Int[Tensor, "rows positions"]
    deltas: Float[Tensor, "rows columns positions width"]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameter it speaks of."""
        return (self.weight,)

    def take(self, rows: slice) -> "LookupJacobian":
        """Some of the rows."""
        return replace(self, index=self.index[rows], deltas=self.deltas[rows])

    def expand(self, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
        """Multiplied out: name -> ``(rows, columns, *shape)``."""
        rows, columns, _, width = self.deltas.shape
        row, token, sums = self._grouped()
        full = self.deltas.new_zeros(rows, columns, shapes[self.weight][0], width)
        full[row, :, token] = sums
        return {self.weight: full}

    def add_squares(self, into: Mapping[str, Tensor]) -> None:
        """Add sums of squares over rows and columns, in place."""
        _, token, sums = self._grouped()
        into[self.weight].index_add_(0, token, sums.square().sum(1))

    def gram(self, weights: Mapping[str, Tensor]) -> Float[Tensor, "rows columns columns"]:
        """``J diag(weights) J'``."""
        row, token, sums = self._grouped()
        # only rows of the table that were looked up, never the table
        root = sums * weights[self.weight][token].sqrt()[:, None]
        total = self.deltas.new_zeros(*self.deltas.shape[:2], self.deltas.shape[1])
        return total.index_add_(0, row, root @ root.transpose(1, 2))

    def _grouped(self) -> tuple[Tensor, Tensor, Tensor]:
        # the same token twice in one row is one entry of the Jacobian: add before squaring
        size = int(self.index.max()) + 1 if self.index.numel() else 1
        size = max(size, 1)
        rows, columns, positions, width = self.deltas.shape
        key = torch.arange(rows, device=self.index.device)[:, None] * size + self.index
        used = (self.index >= 0).reshape(-1)
        pairs, place = key.reshape(-1)[used].unique(return_inverse=True)
        each = self.deltas.transpose(1, 2).reshape(rows * positions, columns, width)[used]
        sums = each.new_zeros(len(pairs), columns, width).index_add_(0, place, each)
        return pairs.div(size, rounding_mode="floor"), pairs % size, sums


@dataclass(frozen=True, eq=False)
class FullJacobian:
    """A Jacobian that is there in full.

    Attributes:
        name: the parameter's name.
        values: ``values[b, k]`` has the parameter's own shape.
    """

    name: str
    values: Float[Tensor, "rows columns ..."]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameter it speaks of."""
        return (self.name,)

    def take(self, rows: slice) -> "FullJacobian":
        """Some of the rows."""
        return replace(self, values=self.values[rows])

    def expand(self, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
        """Its own values."""
        return {self.name: self.values.reshape(*self.values.shape[:2], *shapes[self.name])}

    def add_squares(self, into: Mapping[str, Tensor]) -> None:
        """Add sums of squares over rows and columns, in place."""
        total = into[self.name]
        total.add_(self.values.square().sum((0, 1)).reshape(total.shape))

    def gram(self, weights: Mapping[str, Tensor]) -> Float[Tensor, "rows columns columns"]:
        """``J diag(weights) J'``."""
        return _gram({self.name: self.values}, weights)


Entry: TypeAlias = LayerJacobian | LookupJacobian | FullJacobian
"""A Jacobian by the parameters of one use of one layer."""

Jacobian: TypeAlias = Sequence[LayerJacobian | LookupJacobian | FullJacobian]
"""A Jacobian by everything: entries of the same name (tied and reused weights) add."""


def extent(jacobian: Jacobian) -> tuple[int, int]:
    """Rows and columns.

    Raises:
        InputError: there is no entry, or entries differ.
    """
    found = {_extent(entry) for entry in jacobian}
    if len(found) != 1:
        what = ", ".join(str(pair) for pair in sorted(found)) or "no entry"
        raise InputError(f"jacobian: entries must agree in rows and columns, found {what}")
    return found.pop()


def explicit(jacobian: Jacobian, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The Jacobian multiplied out, entries of the same name added.

    Args:
        jacobian: entries; names that `shapes` does not hold are left out.
        shapes: the parameters asked for.

    Returns:
        Name -> ``(rows, columns, *shape)`` for every name of `shapes`, zeros where no entry is.

    >>> a, d = torch.tensor([[[[2.0, 3.0]]]]), torch.tensor([[[[[5.0]]]]])
    >>> explicit([LayerJacobian("w", "b", a, d)], {"w": torch.Size([1, 2]), "b": torch.Size([1])})
    {'w': tensor([[[[10., 15.]]]]), 'b': tensor([[[5.]]])}
    """
    rows, columns = extent(jacobian)
    found = dict[str, Tensor]()
    for entry in _kept(jacobian, set(shapes)):
        for name, value in entry.expand(shapes).items():
            found[name] = found[name] + value if name in found else value
    like = _values(jacobian[0])
    return {
        name: found[name] if name in found else like.new_zeros(rows, columns, *shape)
        for name, shape in shapes.items()
    }


def matrices(
    jacobian: Jacobian, shapes: Mapping[str, torch.Size]
) -> Float[Tensor, "rows columns total"]:
    """The Jacobian multiplied out, a matrix a row, in the order of the flat vector."""
    return torch.cat([_columns(value) for value in explicit(jacobian, shapes).values()], 2)


def squares(jacobian: Jacobian, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """``Σ J²`` over rows and columns for each parameter, in its own shape.

    >>> a, d = torch.tensor([[[[2.0]]], [[[3.0]]]]), torch.ones(2, 1, 1, 1, 1)
    >>> squares([LayerJacobian("w", None, a, d)], {"w": torch.Size([1, 1])})  # 2² + 3²
    {'w': tensor([[13.]])}
    """
    extent(jacobian)
    like = _values(jacobian[0])
    total = {name: like.new_zeros(shape) for name, shape in shapes.items()}
    add_squares(jacobian, total)
    return total


def add_squares(jacobian: Jacobian, into: Mapping[str, Tensor]) -> None:
    """Add ``Σ J²`` over rows and columns to tensors of the parameters' shapes, in place.

    With one position an example no gradient of an example is formed: ``Σ_b (Σ_k d_bk²) a_b²'``.
    Weights that are used more than once are multiplied out, a chunk of rows at a time.

    Args:
        jacobian: entries; names that `into` does not hold are left out.
        into: name -> contiguous tensor, in the Jacobian's type.
    """
    extent(jacobian)
    shapes = {name: value.shape for name, value in into.items()}
    once, again = _split(jacobian, shapes)
    for entry in once:
        entry.add_squares(into)
    if again:
        for part in chunks(jacobian, again):
            for name, value in explicit(part, again).items():
                into[name].add_(value.square().sum((0, 1)))


def grams(
    jacobian: Jacobian, weights: Mapping[str, Tensor]
) -> Float[Tensor, "rows columns columns"]:
    """``J diag(weights) J'`` for each row, weights at least 0, one a parameter's entry.

    From square roots, so that it is positive semidefinite to rounding.
    """
    total = no_gram(jacobian)
    weights = {name: value.to(total) for name, value in weights.items()}
    once, again = _split(jacobian, {name: value.shape for name, value in weights.items()})
    for entry in once:
        total += entry.gram(weights)
    if again:
        parts = [_gram(explicit(part, again), weights) for part in chunks(jacobian, again)]
        total += torch.cat(parts)
    return total


def no_gram(jacobian: Jacobian) -> Float[Tensor, "rows columns columns"]:
    """Zeros, in the Jacobian's type: what weights that it does not speak of give."""
    rows, columns = extent(jacobian)
    return _values(jacobian[0]).new_zeros(rows, columns, columns)


def chunks(jacobian: Jacobian, shapes: Mapping[str, torch.Size]) -> Iterator[list[Entry]]:
    """The Jacobian in chunks of rows that stay below `NUMBERS` numbers when multiplied out."""
    rows, columns = extent(jacobian)
    each = columns * sum(shape.numel() for shape in shapes.values())
    for part in slices(rows, max(1, NUMBERS // max(1, each))):
        yield [entry.take(part) for entry in jacobian]


def _pooled(values: Float[Tensor, "rows columns ..."]) -> Float[Tensor, "rows ..."]:
    """Sums of squares over columns."""
    return values[:, 0].square() if values.shape[1] == 1 else values.square().sum(1)


def add_products(
    total: Float[Tensor, "groups outputs inputs"],
    left: Float[Tensor, "groups many outputs"],
    right: Float[Tensor, "groups many inputs"],
) -> None:
    """``total += left' right`` for each group, in place."""
    if total.shape[0] == 1:  # the plain product is the faster one
        total[0].addmm_(left[0].T, right[0])
    else:
        total.baddbmm_(left.mT, right)


def _gram(full: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
    roots = [_columns(value * weights[name].sqrt()) for name, value in full.items()]
    return sum((root @ root.transpose(1, 2) for root in roots[1:]), roots[0] @ roots[0].mT)


def _columns(value: Float[Tensor, "rows columns ..."]) -> Float[Tensor, "rows columns size"]:
    # not flatten(2), which refuses a weight without dimensions, nor -1, which refuses no rows
    return value.reshape(*value.shape[:2], prod(value.shape[2:]))


def _kept(jacobian: Jacobian, names: set[str]) -> list[Entry]:
    found = [entry for entry in jacobian if names.intersection(entry.names)]
    return [entry.keep(names) if isinstance(entry, LayerJacobian) else entry for entry in found]


def _split(
    jacobian: Jacobian, shapes: Mapping[str, torch.Size]
) -> tuple[list[Entry], dict[str, torch.Size]]:
    """Entries of names that occur once, and the shapes of those that occur again."""
    uses = Counter(name for entry in jacobian for name in entry.names)
    again = {name: shape for name, shape in shapes.items() if uses[name] > 1}
    return _kept(jacobian, set(shapes) - set(again)), again


def _extent(entry: Entry) -> tuple[int, int]:
    rows, columns = _values(entry).shape[:2]
    return rows, columns


def _values(entry: Entry) -> Tensor:
    return entry.values if isinstance(entry, FullJacobian) else entry.deltas


def slices(count: int, each: int) -> list[slice]:
    """Consecutive slices of `each`; one, and empty, where there is nothing."""
    return [slice(start, start + each) for start in range(0, max(1, count), each)]
