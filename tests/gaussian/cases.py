"""Jacobians to test with, small and in float64."""

import torch
from torch import Size

from counterpoint.gaussian import (
    Diagonal,
    Factors,
    FullJacobian,
    Kronecker,
    LayerJacobian,
    LookupJacobian,
)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outer(weight="w", bias="b", *, rows=4, columns=3, groups=1, positions=1, seed=0):
    """An entry for a weight of 2 x 3 a group."""
    return LayerJacobian(
        weight,
        bias,
        normal(rows, groups, positions, 3, seed=seed),
        normal(rows, columns, groups, positions, 2, seed=seed + 1),
    )


def outer_shapes(groups=1):
    return {"w": Size([groups * 2, 3]), "b": Size([groups * 2])}


def lookup(weight="table", *, rows=4, columns=3):
    """Five tokens of width 2; repetitions inside a row, and padding."""
    index = torch.tensor([[0, 1, 1], [4, 4, 4], [-1, 2, 0], [-1, -1, -1]])[:rows]
    return LookupJacobian(weight, index, normal(rows, columns, 3, 2, seed=7))


def rows(name="scale", shape=(2, 2), *, rows=4, columns=3):
    return FullJacobian(name, normal(rows, columns, *shape, seed=9))


SHAPES = {"table": Size([5, 2]), "scale": Size([2, 2])}


def definite(size, seed=0):
    """A symmetric matrix with eigenvalues of about 0.1 to 4."""
    root = normal(size, size, seed=seed)
    return root @ root.T / size + 0.1 * torch.eye(size, dtype=torch.float64)


def factors(groups=1, bias="b", seed=0, weight="w"):
    """The sums of seven examples, of deltas 2 and inputs 3 wide."""
    inputs = normal(groups, 7, 3, seed=seed + 1)
    if bias is not None:
        inputs = torch.cat([inputs, torch.ones(groups, 7, 1, dtype=torch.float64)], 2)
    deltas = normal(groups, 7, 2, seed=seed + 2)
    return Factors(
        weight,
        bias,
        Size([groups * 2, 3]),
        deltas.mT @ deltas,
        inputs.mT @ inputs,
        torch.tensor(7.0, dtype=torch.float64),
    )


def diagonal(shapes, seed=0):
    return Diagonal({n: normal(*s, seed=seed).square() + 0.2 for n, s in shapes.items()})


WIDE = {"w": Size([2, 3]), "b": Size([2]), "table": Size([5, 2]), "scale": Size([2, 2])}


def thin():
    """Layers of one output, and of one input."""
    return [
        LayerJacobian("row", None, normal(4, 1, 1, 3), normal(4, 3, 1, 1, 1, seed=2)),
        LayerJacobian("column", None, normal(4, 1, 1, 1), normal(4, 3, 1, 1, 2, seed=2)),
    ]


THIN = {"gain": Size([]), "row": Size([1, 3]), "column": Size([2, 1])}
LAYER = {"w": Size([2, 3]), "b": Size([2])}
REST = {"scale": Size([2, 2]), "table": Size([5, 2])}


def kronecker(groups=1, bias="b", seed=0, scale=1.5, delta=0.3):
    return Kronecker(factors(groups, bias, seed), scale, delta)


class Largest(torch.overrides.TorchFunctionMode):
    """The most numbers that one operation inside gave."""

    numbers = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result
