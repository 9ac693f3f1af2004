"""Gaussians over named weights: everything that is known of a trained network, in one object.

In come curvatures, as structures over named weights: `Isotropic`, `Diagonal`, `Kronecker` (a
layer's two `Factors`), `Dense`, and `Block` (a structure for each group of names). All answer the
same questions: products and solves with the matrix and with a root of it, determinants,
variances, principal blocks and marginals, multiples and shifts. `a + b` is exact: where it is
not closed the answer is a `Sum`, which solves by conjugate gradients; `pool` joins the sums of
one curvature over two halves of the data instead.

Out come the three operations of a `Gaussian`: the product (what two sources know together), the
power (forgetting), and, through a structure's `pull`, the covariance ``J P⁻¹ J'`` of what a
network says. Jacobians stay in factored form (`LayerJacobian`, `LookupJacobian`, `FullJacobian`).

A precision of 1 around 0 and one of 3 around 4 make one of 4 around 3, and what is pulled back
by ``J = 2`` has the variance ``2² / 4``:

>>> import torch
>>> prior = Gaussian.isotropic({"w": torch.zeros(1)}, precision=1.0)
>>> data = Gaussian({"w": torch.tensor([4.0])}, Diagonal({"w": torch.tensor([3.0])}), counts=5)
>>> posterior = prior * data
>>> posterior.mean["w"].item(), posterior.energy({"w": torch.tensor([5.0])}).item()  # 4 2²/2
(3.0, 8.0)
>>> posterior.precision.pull([FullJacobian("w", torch.full((1, 1, 1), 2.0))]).item()
1.0
>>> (posterior / data).mean["w"].item()
0.0
"""

from counterpoint.gaussian._algebra import add, pool, subtract
from counterpoint.gaussian._block import Block
from counterpoint.gaussian._dense import Dense
from counterpoint.gaussian._diagonal import Diagonal, Isotropic
from counterpoint.gaussian._evidence import ExampleEvidence
from counterpoint.gaussian._gaussian import Gaussian
from counterpoint.gaussian._jacobian import (
    FullJacobian,
    Jacobian,
    LayerJacobian,
    LookupJacobian,
    add_products,
    add_squares,
    chunks,
    explicit,
    grams,
    matrices,
    squares,
)
from counterpoint.gaussian._kronecker import Factors, Kronecker
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._quadratic import Quadratic
from counterpoint.gaussian._state import precision_from
from counterpoint.gaussian._sum import Sum
from counterpoint.gaussian._vectors import Shift

__all__ = [
    "Block",
    "Dense",
    "Diagonal",
    "ExampleEvidence",
    "Factors",
    "FullJacobian",
    "Gaussian",
    "Isotropic",
    "Jacobian",
    "Kronecker",
    "LayerJacobian",
    "LookupJacobian",
    "Precision",
    "Quadratic",
    "Shift",
    "Sum",
    "add",
    "add_products",
    "add_squares",
    "chunks",
    "explicit",
    "grams",
    "matrices",
    "pool",
    "precision_from",
    "squares",
    "subtract",
]
