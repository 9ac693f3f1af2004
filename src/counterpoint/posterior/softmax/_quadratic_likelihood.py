r"""Rows that are gone: their log likelihood as a quadratic, and the posterior with new ones.

At the optimum ``V₀`` of a softmax last layer the gradient of its rows' log likelihood is ``αV₀``
(the prior's holds it) and the curvature is the precision's part ``H₀``, so that to second order

    ``L(V) = L₀ + αV₀'(V − V₀) − (V − V₀)'H₀(V − V₀)/2``.

Times ``keep`` it stands for these rows when new ones come: their likelihood is exact, and the new
optimum is that of ``keep L(V) + Σ w log p(label | V) − α|V|²/2``. There the gradient of both
likelihoods together is ``αV`` again, so that this can be done over and over (Ritter, Botev & Barber
2018, Online structured Laplace approximations for overcoming catastrophic forgetting; for the
conjugate idea Spiegelhalter & Lauritzen 1990, Sequential updating of conditional probabilities on
directed graphical structures).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from counterpoint.gaussian import Dense, Precision, Quadratic, pool
from counterpoint.posterior.softmax._multinomial import WEIGHT, Multinomial
from counterpoint.posterior.softmax._newton import (
    Precondition,
    Ridge,
    Solve,
    from_matrix,
    from_precision,
    maximise,
)
from counterpoint.posterior.softmax._tuning import Fitted

_SAMPLE = 4096
"""Most new rows whose own curvature preconditions; of more, as many are drawn."""

Weights = Float64[Tensor, "width contrasts"]


@dataclass(frozen=True)
class QuadraticLikelihood(Ridge):
    """The quadratic of rows that are gone, beside the log prior.

    Attributes:
        prior: precision ``α`` of the weights.
        lost: ``-keep L(V)`` of ``V'``, free where the contrasts are new.
        full: whether curvatures are matrices; otherwise Kronecker factors.
    """

    lost: Quadratic
    full: bool

    @classmethod
    def of(
        cls,
        weights: Weights,
        precision: Precision,
        prior: float,
        keep: float,
        contrasts: int,
        *,
        full: bool,
    ) -> "QuadraticLikelihood":
        """From a posterior.

        Args:
            weights: its optimum.
            precision: ``H₀ + αI`` there.
            prior: ``α``.
            keep: what the rows count, from 0 to 1.
            contrasts: as many as there are now; those of old are the first.
            full: whether the precision is a matrix.
        """
        optimum = {WEIGHT: weights.T}
        # the gradient of L at its posterior's optimum is what the prior's holds there
        slope = {WEIGHT: -prior * weights.T}
        lost = Quadratic(optimum, precision.shift(-prior), slope)
        shape = torch.Size([contrasts, len(weights)])
        return cls(prior, lost.widened({WEIGHT: shape}).fewer(keep), full)

    def log_likelihood(self, weights: Weights) -> float:
        """Of the rows that are gone, less that at weights of their own, times ``keep``."""
        return -float(self.lost.energy({WEIGHT: weights.T}))

    def height(self, weights: Weights) -> float:
        """Of both, up to a constant."""
        return super().height(weights) + self.log_likelihood(weights)

    def gradient(self, weights: Weights) -> Weights:
        """Of `height`."""
        return super().gradient(weights) - self.lost.gradient({WEIGHT: weights.T})[WEIGHT].T

    def product(self, direction: Weights) -> Weights:
        """``(keep H₀ + αI) direction``."""
        bent = self.lost.precision.mv({WEIGHT: direction.T})[WEIGHT].T
        return super().product(direction) + bent

    def joined(self, rows: Multinomial, log_likelihood: float) -> Fitted:
        """The posterior with new rows.

        Args:
            rows: the new ones.
            log_likelihood: of those that are gone at their own weights, times ``keep``.
        """
        start = self.lost.centre[WEIGHT].T
        best = maximise(rows, start, self, self._precondition(rows))
        make = rows.dense if self.full else rows.kronecker
        precision = self._with(make(best.probabilities)).shift(self.prior)
        total = log_likelihood + self.log_likelihood(best.weights) + best.log_likelihood
        return Fitted.of(replace(best, log_likelihood=total), precision, self.prior)

    def _with(self, new: Precision) -> Precision:
        """The curvature of old and new rows: the sum, or its approximation with pooled factors."""
        return pool(self.lost.precision, new)

    def _precondition(self, rows: Multinomial) -> Precondition:
        """Solvers near the curvature of old rows, new rows and prior, made anew for every step."""
        old = self.lost.precision
        known = old.dense() if self.full else None

        def at(probabilities: Float64[Tensor, "rows classes"]) -> Solve:
            if known is None:
                return from_precision(self._with(rows.kronecker(probabilities)).shift(self.prior))
            part = (rows, probabilities)
            if len(probabilities) > _SAMPLE:
                # a sample's curvature is near enough to step by, and costs no more with more rows
                part = rows.sampled(probabilities, max(_SAMPLE, len(known)))
            matrix = known + Multinomial.curvature(*part)
            near = Dense(matrix, old.shapes).shift(self.prior)
            return from_matrix(near.dense()) or from_precision(near)

        return at
