"""Derivatives of a network's outputs by its inputs, exact or by differences.

In come a function from points ``(rows, inputs)`` to outputs ``(rows, outputs)``, the points, and a
scheme; out come all input gradients ``(rows, outputs, inputs)``, or slopes along directions, and
the values on the way. All have a graph to the weights, so that goals may be made of them.

- `gradients`, `values_and_gradients`, `directional`, `values_and_directional`.
- Schemes, by name or with a step of their own: `ForwardMode`, `ReverseMode` and `ComplexStep` are
  exact, `Auto` takes the faster of the first two; `ForwardDifference`, `BackwardDifference`,
  `CentralDifference` and `Richardson` evaluate all shifts at once.
- Steps of differences: `Relative` (the rule of best practice), `Fixed`, and `Drawn` at random.
  `Subset` draws which points to differentiate at. What is drawn is held as long as is stated.
- `check_gradients` compares the gradients of any goal by any tensors with differences.

On networks with kinks (ReLU) exact schemes and tiny steps give the gradients at the points, but
not how they change with the weights: kinks move, unseen. Take a smooth activation, or a step of
0.01 to 0.1 that smooths on purpose.

>>> import torch
>>> points = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
>>> product = lambda x: x[:, 0] * x[:, 1]
>>> gradients(product, points).tolist()  # of x y: (y, x)
[[[2.0, 1.0]], [[4.0, 3.0]]]
>>> slopes = gradients(product, points, CentralDifference(Fixed(0.5)))
>>> torch.equal(slopes, gradients(product, points))
True
"""

from counterpoint.derivatives._check import Agreement, GradientCheck, Verdict, check_gradients
from counterpoint.derivatives._complex_step import ComplexStep
from counterpoint.derivatives._differences import (
    BackwardDifference,
    CentralDifference,
    ForwardDifference,
    Richardson,
)
from counterpoint.derivatives._draws import Subset
from counterpoint.derivatives._exact import Auto, ForwardMode, ReverseMode
from counterpoint.derivatives._function import Function
from counterpoint.derivatives._gradients import (
    directional,
    gradients,
    values_and_directional,
    values_and_gradients,
)
from counterpoint.derivatives._scheme import Scheme
from counterpoint.derivatives._schemes import SCHEMES, scheme
from counterpoint.derivatives._steps import Drawn, Fixed, Relative, StepSize

__all__ = [
    "SCHEMES",
    "Agreement",
    "Auto",
    "BackwardDifference",
    "CentralDifference",
    "ComplexStep",
    "Drawn",
    "Fixed",
    "ForwardDifference",
    "ForwardMode",
    "Function",
    "GradientCheck",
    "Relative",
    "ReverseMode",
    "Richardson",
    "Scheme",
    "StepSize",
    "Subset",
    "Verdict",
    "check_gradients",
    "directional",
    "gradients",
    "scheme",
    "values_and_directional",
    "values_and_gradients",
]
