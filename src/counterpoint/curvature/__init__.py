"""How the loss of a trained network bends with its weights, as a precision over named weights.

In come a model, a likelihood (or one a head) and whatever holds the rows (see the room `data`);
out comes a `Precision` of the room
`gaussian`: a SUM over examples, so that batches, ranks and tasks add, with row weights honoured,
and independent of the size and the order of batches.

- `fisher` in four kinds of labels and five structures, `ggn`, exact `hessian` for small models,
  and `product` with a vector for any model.
- `all_reduce` adds the ranks of a distributed run, in one message.
- `linearise` gives a model's outputs and the Jacobian by its weights, factored, for predictions.

Operations that use weights are read as they run (`calls/`, one file each). What cannot be read goes
through the whole model by `torch.func`, with a warning of its cost, and the first rows are compared
with plain differentiation before anything is believed.

For a linear model with noise variance 1 and no bias the Fisher information is ``X'X``:

>>> import torch
>>> from counterpoint.goals import Normal
>>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
>>> line = torch.nn.Linear(2, 1, bias=False)
>>> fisher(line, Normal(), [(x, x.sum(1))], structure="dense").dense()
tensor([[10., 14.],
        [14., 20.]], dtype=torch.float64)
"""

from counterpoint.curvature._distributed import all_reduce, over_ranks, sum_over_ranks
from counterpoint.curvature._fisher import Observer, fisher, ggn, linearised_fisher
from counterpoint.curvature._hessian import hessian
from counterpoint.curvature._labels import LABELS, Labels
from counterpoint.curvature._linearise import (
    Linearised,
    LinearisedOutput,
    NormalOutput,
    linearise,
)
from counterpoint.curvature._product import product
from counterpoint.curvature._structure import STRUCTURES, Structure

__all__ = [
    "LABELS",
    "STRUCTURES",
    "Labels",
    "Linearised",
    "LinearisedOutput",
    "NormalOutput",
    "Observer",
    "Structure",
    "all_reduce",
    "fisher",
    "ggn",
    "hessian",
    "linearise",
    "linearised_fisher",
    "over_ranks",
    "product",
    "sum_over_ranks",
]
