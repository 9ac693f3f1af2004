"""A structure made by following CONTRIBUTING: one precision for each row of each weight."""

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.gaussian import Dense, Diagonal, Jacobian, Precision
from counterpoint.gaussian import _state as state
from counterpoint.gaussian._vectors import chosen, uniform


@dataclass(frozen=True, eq=False)
class RowWise(Precision):
    """``P = diag`` of values that the entries of a row share (a number has a row of its own)."""

    values: dict[str, Tensor]
    shapes: dict[str, torch.Size]

    @classmethod
    def of(cls, diagonal):
        """The rows' means."""
        values = {n: v.reshape(*v.shape[:1], -1).mean(-1) for n, v in diagonal.items()}
        return cls(values, {name: value.shape for name, value in diagonal.items()})

    @classmethod
    def read(cls, spec, tensors):
        """How `precision_from` reads it."""
        shapes = state._shapes(spec)
        return cls({name: state._tensor(tensors, name) for name in shapes}, shapes)

    @property
    def full(self):
        return Diagonal(self.diagonal())

    @property
    def like(self):
        return next(iter(self.values.values()))

    def scaled(self, factor):
        return RowWise({n: value * factor for n, value in self.values.items()}, self.shapes)

    def shift(self, by):
        one = uniform(by, self.shapes)
        if one is None:
            return self.full.shift(by)
        return RowWise({n: value + one for n, value in self.values.items()}, self.shapes)

    def mv(self, vector):
        return self.full.mv(vector)

    def solve(self, vector):
        return self.full.solve(vector)

    def root_mv(self, vector):
        return self.full.root_mv(vector)

    def root_solve(self, vector):
        return self.full.root_solve(vector)

    def logdet(self):
        return self.full.logdet()

    def pull(self, jacobian: Jacobian):
        return self.full.pull(jacobian)

    def diagonal(self):
        return {
            name: self.values[name].reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
            if shape
            else self.values[name]
            for name, shape in self.shapes.items()
        }

    def variances(self):
        return self.full.variances()

    def dense(self):
        return self.full.dense()

    def least(self):
        return self.full.least()

    def restrict(self, names):
        shapes = chosen(names, self.shapes)
        return RowWise({name: self.values[name] for name in shapes}, shapes)

    def marginal(self, names):
        return Dense(self.dense(), self.shapes).marginal(names)

    def widened(self, shapes):
        return self.full.widened(shapes)

    def fewer(self, share):
        return self.scaled(share)

    def double(self):
        return RowWise({n: value.double() for n, value in self.values.items()}, self.shapes)

    def tensors(self):
        return dict(self.values)

    def spec(self):
        return {"kind": "row-wise", "shapes": [[n, list(s)] for n, s in self.shapes.items()]}
