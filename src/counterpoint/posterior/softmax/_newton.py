"""The maximum of a multinomial posterior: Newton's method with preconditioned conjugate gradients.

The problem is strictly concave, so there is one maximum and every start leads to it. An
approximation of the curvature (exact at an earlier point, of a sample of the rows, or in Kronecker
factors) preconditions the exact one, which is only ever multiplied with vectors.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from counterpoint.gaussian import Precision
from counterpoint.posterior.softmax._multinomial import WEIGHT, Multinomial

Weights = Float64[Tensor, "width contrasts"]
Solve = Callable[[Weights], Weights]
Precondition = Callable[[Float64[Tensor, "rows classes"]], Solve]

_NEWTON_STEPS = 100
_CONJUGATE_STEPS = 200
_FORCING = 1e-2


@dataclass(frozen=True)
class Ridge:
    """What is added to the log likelihood of the rows: the log prior ``−α|V|²/2``.

    Attributes:
        prior: precision ``α`` of the weights, positive.
    """

    prior: float

    def height(self, weights: Weights) -> float:
        """At some weights, up to a constant."""
        return -self.prior * float(weights.square().sum()) / 2

    def gradient(self, weights: Weights) -> Weights:
        """Of `height`."""
        return -self.prior * weights

    def product(self, direction: Weights) -> Weights:
        """A direction times the matrix of second derivatives, negated."""
        return self.prior * direction


@dataclass(frozen=True)
class Optimum:
    """Where the search ended.

    Attributes:
        weights: ``V`` at the maximum.
        probabilities: of every row and class.
        log_likelihood: ``Σ w log p(label)``.
        steps: Newton steps taken.
        converged: whether the last expected gain was below the tolerance.
    """

    weights: Weights
    probabilities: Float64[Tensor, "rows classes"]
    log_likelihood: float
    steps: int
    converged: bool


def maximise(
    rows: Multinomial,
    start: Weights,
    ridge: Ridge,
    precondition: Precondition,
    tolerance: float = 1e-12,
) -> Optimum:
    """Maximise the log posterior of the weights.

    Args:
        rows: the likelihood.
        start: first weights.
        ridge: the prior, with all else that is quadratic in the weights.
        precondition: gives a solver with a matrix near the curvature at class probabilities.
        tolerance: expected gain of a step, relative to the objective, below which it is the
            last; conjugate gradients to a hundredth leave a ten-thousandth of it.
    """
    weights, logits = start, rows.logits(start)
    likelihood = rows.log_likelihood(logits)
    for step in range(1, _NEWTON_STEPS + 1):
        probabilities = logits.softmax(1)
        height = likelihood + ridge.height(weights)
        gradient = rows.gradient(probabilities) + ridge.gradient(weights)
        direction = _solve(rows, probabilities, gradient, ridge, precondition(probabilities))
        gain = float((gradient * direction).sum())
        # gain is the Newton decrement g'H⁻¹g: twice what the quadratic promises (Boyd and
        # Vandenberghe 2004, section 9.5)
        last = gain <= tolerance * (1 + abs(height))
        # Armijo's rule with the usual 1e-4; the last step is taken whole
        needed = -math.inf if last else 1e-4 * gain
        weights, logits, likelihood = _step(rows, weights, direction, ridge, height, needed)
        if last:
            return Optimum(weights, logits.softmax(1), likelihood, step, True)
    return Optimum(weights, logits.softmax(1), likelihood, _NEWTON_STEPS, False)


def _step(
    rows: Multinomial,
    weights: Weights,
    direction: Weights,
    ridge: Ridge,
    height: float,
    needed: float,
) -> tuple[Weights, Float64[Tensor, "rows classes"], float]:
    """The longest of the steps 1, 1/2, 1/4, … that rises as much as `needed` times its length.

    Returns:
        The weights after the step, with their logits and log likelihood.
    """
    size = 1.0
    while True:
        moved = weights + size * direction
        logits = rows.logits(moved)
        likelihood = rows.log_likelihood(logits)
        rise = likelihood + ridge.height(moved) - height
        # A rise below the rounding of the sums cannot be measured: the full step is right then.
        if rise >= size * needed - 1e-12 * abs(height) or size < 1e-8:
            return moved, logits, likelihood
        size /= 2


def _solve(
    rows: Multinomial,
    probabilities: Float64[Tensor, "rows classes"],
    gradient: Weights,
    ridge: Ridge,
    approximately: Solve,
) -> Weights:
    """The step to the maximum of the local quadratic, by conjugate gradients to a hundredth."""
    solution = torch.zeros_like(gradient)
    residual = gradient
    scaled = approximately(residual)
    direction = scaled
    energy = float((residual * scaled).sum())
    # an inexact step still converges superlinearly (Dembo, Eisenstat & Steihaug 1982)
    target = _FORCING**2 * energy
    for _ in range(_CONJUGATE_STEPS):
        if energy <= target:
            break
        image = rows.product(probabilities, direction) + ridge.product(direction)
        bend = float((direction * image).sum())
        if bend <= 0:  # below rounding: nothing more can be told of this direction
            break
        size = energy / bend
        solution = solution + size * direction
        residual = residual - size * image
        scaled = approximately(residual)
        previous, energy = energy, float((residual * scaled).sum())
        direction = scaled + (energy / previous) * direction
    return solution


def from_precision(precision: Precision) -> Solve:
    """Its `solve`, of weights as Newton's method holds them."""

    def solve(vector: Weights) -> Weights:
        return precision.solve({WEIGHT: vector.T})[WEIGHT].T

    return solve


def from_matrix(matrix: Float64[Tensor, "total total"]) -> Solve | None:
    """Cholesky's solution with a matrix over ``vec(V')``; none where that fails."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if bool(failed):
        return None

    def solve(vector: Weights) -> Weights:
        width, count = vector.shape
        return torch.cholesky_solve(vector.T.reshape(-1, 1), factor).view(count, width).T

    return solve
