"""Networks: columns become numbers, a trunk makes features of them, one head a target.

In come category codes (int64, one column an input) and standardised numbers (float32); out come
one tensor a target, by name, and on request the features that all heads share: the last layer's
posterior stands on those. `Embeddings` gives each level of a category a vector, `PiecewiseLinear`
spreads a number over its quantile bins, `plain_trunk` and `ResidualTrunk` are the multilayer
perceptrons between, `TableNet` is all of them in a row. `pack` runs several networks of one shape
side by side, each on its own rows, at little more than the cost of one; `unpack` takes them apart.
`Lookup` is what several make of the same rows when they predict, at a cost that bins do not raise.
`replace_head` puts a head for another task on a trained network. `Maxout` learns its activation,
`NAU` and `NMU` learn which inputs to add and to multiply, and `sparsity` is the goal that makes
their wiring a formula.

>>> import torch
>>> net = TableNet([5], [(-1.0, 0.0, 1.0)], {"price": 1, "kind": 3}, width=8)
>>> out = net(torch.tensor([[2], [0]]), torch.zeros(2, 1))
>>> {name: tuple(value.shape) for name, value in out.items()}
{'price': (2, 1), 'kind': (2, 3)}
"""

from counterpoint.nn._arithmetic import NAU, NMU, sparsity
from counterpoint.nn._embeddings import Embeddings, embedding_width
from counterpoint.nn._head import replace_head
from counterpoint.nn._lookup import Lookup
from counterpoint.nn._maxout import Maxout
from counterpoint.nn._packed import pack, unpack
from counterpoint.nn._piecewise import PiecewiseLinear
from counterpoint.nn._table_net import TableNet
from counterpoint.nn._trunk import ResidualTrunk, plain_trunk

__all__ = [
    "NAU",
    "NMU",
    "Embeddings",
    "Lookup",
    "Maxout",
    "PiecewiseLinear",
    "ResidualTrunk",
    "TableNet",
    "embedding_width",
    "pack",
    "plain_trunk",
    "replace_head",
    "sparsity",
    "unpack",
]
