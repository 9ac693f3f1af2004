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

from counterpoint.gaussian import Dense, Factors, Kronecker, Precision, pool
from counterpoint.posterior.multinomial import WEIGHT, Multinomial
from counterpoint.posterior.newton import (
    Precondition,
    Ridge,
    Solve,
    from_matrix,
    from_precision,
    maximise,
)
from counterpoint.posterior.tuning import Fitted

__all__ = ["QuadraticLikelihood"]

_SAMPLE = 4096
"""Most new rows whose own curvature preconditions; of more, as many are drawn."""

Weights = Float64[Tensor, "width contrasts"]


@dataclass(frozen=True)
class QuadraticLikelihood(Ridge):
    """The quadratic of rows that are gone, beside the log prior.

    Attributes:
        prior: precision ``α`` of the weights.
        weights: ``V₀``, with zeros for contrasts with new classes.
        slope: ``keep α``: the gradient at ``V₀`` is that times ``V₀``.
        curvature: ``keep H₀``, zero where the contrasts are new.
    """

    weights: Weights
    slope: float
    curvature: Dense | Kronecker

    @classmethod
    def of(
        cls, weights: Weights, precision: Precision, prior: float, keep: float, contrasts: int
    ) -> "QuadraticLikelihood":
        """From a posterior.

        Args:
            weights: its optimum.
            precision: ``H₀ + αI`` there.
            prior: ``α``.
            keep: what the rows count, from 0 to 1.
            contrasts: as many as there are now; those of old are the first.
        """
        width, old = weights.shape
        grown = weights.new_zeros(width, contrasts)
        grown[:, :old] = weights
        curvature = precision.shift(-prior)
        shape = torch.Size([contrasts, width])
        kept = (
            _fewer(curvature.factors, keep, shape)
            if isinstance(curvature, Kronecker)
            else Dense(_corner(keep * curvature.dense(), contrasts * width), {WEIGHT: shape})
        )
        return cls(prior, grown, keep * prior, kept)

    def log_likelihood(self, weights: Weights) -> float:
        """Of the rows that are gone, less that at `weights` of their own, times ``keep``."""
        step = weights - self.weights
        bend = float((step * self._curved(step)).sum())
        return self.slope * float((self.weights * step).sum()) - bend / 2

    def height(self, weights: Weights) -> float:
        """Of both, up to a constant."""
        return super().height(weights) + self.log_likelihood(weights)

    def gradient(self, weights: Weights) -> Weights:
        """Of `height`."""
        likelihood = self.slope * self.weights - self._curved(weights - self.weights)
        return super().gradient(weights) + likelihood

    def product(self, direction: Weights) -> Weights:
        """``(keep H₀ + αI) direction``."""
        return super().product(direction) + self._curved(direction)

    def _curved(self, direction: Weights) -> Weights:
        return self.curvature.mv({WEIGHT: direction.T})[WEIGHT].T

    def joined(self, rows: Multinomial, log_likelihood: float) -> Fitted:
        """The posterior with new rows.

        Args:
            rows: the new ones.
            log_likelihood: of those that are gone at their own weights, times ``keep``.
        """
        best = maximise(rows, self.weights, self, self._precondition(rows))
        make = rows.dense if isinstance(self.curvature, Dense) else rows.kronecker
        precision = self._with(make(best.probabilities)).shift(self.prior)
        total = log_likelihood + self.log_likelihood(best.weights) + best.log_likelihood
        return Fitted.of(replace(best, log_likelihood=total), precision, self.prior)

    def _with(self, new: Dense | Kronecker) -> Precision:
        """The curvature of old and new rows: the sum, or its approximation with pooled factors."""
        if isinstance(new, Kronecker):
            new = _fewer(new.factors, 1.0, new.factors.shape)
        return pool(self.curvature, new)

    def _precondition(self, rows: Multinomial) -> Precondition:
        """Solvers near the curvature of old rows, new rows and prior, made anew for every step."""
        known = self.curvature.dense() if isinstance(self.curvature, Dense) else None

        def at(probabilities: Float64[Tensor, "rows classes"]) -> Solve:
            if known is None:
                return from_precision(self._with(rows.kronecker(probabilities)).shift(self.prior))
            part = (rows, probabilities)
            if len(probabilities) > _SAMPLE:
                part = rows.sampled(probabilities, max(_SAMPLE, len(known)))
            matrix = known + Multinomial.curvature(*part)
            full = Dense(matrix, self.curvature.shapes).shift(self.prior)
            return from_matrix(full.dense()) or from_precision(full)

        return at


def _fewer(factors: Factors, share: float, shape: torch.Size) -> Kronecker:
    """The factors as sums over rows, to pool: ``share`` of the rows, and zeros for new contrasts.

    A row counts what it can teach, ``w tr Λ``: the sum of it is the right side's last entry, that
    of the bias. Sums of ``w B'ΛB`` and of ``w tr(Λ) φφ'`` over old and new rows are then what
    `Multinomial.factors` would have found in all of them.
    """
    taught = factors.right[0, -1, -1]
    left = _corner(factors.left[0] * (share * taught / factors.examples), shape[0])
    return Kronecker(
        Factors(WEIGHT, None, shape, left[None], factors.right * share, taught * share)
    )


def _corner(matrix: Float64[Tensor, "old old"], size: int) -> Float64[Tensor, "size size"]:
    """The matrix in the leading corner of zeros."""
    result = matrix.new_zeros(size, size)
    result[: len(matrix), : len(matrix)] = matrix
    return result
