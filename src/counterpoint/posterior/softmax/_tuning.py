"""The prior precision of a softmax last layer at which the Laplace evidence is greatest."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from counterpoint.gaussian import Precision
from counterpoint.posterior._status import TuningEnding
from counterpoint.posterior.softmax._multinomial import WEIGHT, Multinomial
from counterpoint.posterior.softmax._newton import (
    Optimum,
    Precondition,
    Ridge,
    Solve,
    from_matrix,
    from_precision,
    maximise,
)
from counterpoint.posterior.softmax._search import climb

_RANGE = (1e-12, 1e6)
"""Range of the prior precision, relative to the greatest eigenvalue of the curvature."""

_SAMPLED_LIMIT = 3072
"""Most weights for which the curvature of a sample of rows preconditions the search."""

_SAMPLE = 2048
_FIXED_POINT_STEPS = 6
_NEAR = 0.3


@dataclass(frozen=True)
class Fitted:
    """The posterior for one prior precision."""

    prior: float
    optimum: Optimum
    precision: Precision
    log_evidence: float
    effective: float

    @classmethod
    def of(cls, optimum: Optimum, precision: Precision, prior: float) -> "Fitted":
        """With Laplace's evidence and the effective number of weights."""
        total = optimum.weights.numel()
        evidence = (
            optimum.log_likelihood
            - prior * float(optimum.weights.square().sum()) / 2
            + (total * math.log(prior) - float(precision.logdet())) / 2
        )
        effective = max(0.0, total - prior * float(precision.variances()[WEIGHT].sum()))
        return cls(prior, optimum, precision, evidence, effective)


@dataclass
class Search:
    """Posteriors along the prior precision, each started from the one before.

    Attributes:
        rows: the likelihood.
        dense: whether the curvature is kept in full.
        weights: the last optimum.
        curvature: the last one, of the likelihood alone.
        best: the posterior of greatest evidence so far.
        evaluations: optima computed.
    """

    rows: Multinomial
    dense: bool
    weights: Float64[Tensor, "width contrasts"]
    curvature: Precision | None = None
    best: Fitted | None = None
    evaluations: int = 0

    @classmethod
    def over(cls, rows: Multinomial, dense_limit: int) -> "Search":
        """A search that has not begun."""
        weights = rows.design.new_zeros(rows.design.shape[1], rows.basis.shape[1])
        return cls(rows, dense=weights.numel() <= dense_limit, weights=weights)

    @property
    def scale(self) -> float:
        """The greatest eigenvalue of the curvature at equal probabilities: the prior's unit."""
        uniform = self.rows.logits(torch.zeros_like(self.weights)).softmax(1)
        return float(self.rows.kronecker(uniform).factors.products().max())

    @property
    def start(self) -> float:
        """A tenth of the mean squared length of a row: logits of a spread of about three."""
        lengths = self.rows.design.square().sum(1)
        return float(self.rows.weight @ lengths / self.rows.weight.sum()) / 10

    def evaluate(self, log_prior: float) -> Fitted:
        """The optimum, the curvature there and the evidence, for one prior precision."""
        prior = math.exp(log_prior)
        optimum = maximise(self.rows, self.weights, Ridge(prior), self._preconditions(prior))
        make = self.rows.dense if self.dense else self.rows.kronecker
        self.curvature = make(optimum.probabilities)
        self.weights = optimum.weights
        self.evaluations += 1
        found = Fitted.of(optimum, self.curvature.shift(prior), prior)
        if self.best is None or found.log_evidence > self.best.log_evidence:
            self.best = found
        return found

    def _preconditions(self, prior: float) -> Precondition:
        """Solvers near ``H + αI``: of the last curvature, of a sample of rows, or in factors."""
        # on the first way, from weights of zero, the curvature changes much: then each step of
        # Newton's method has its own; later one does for all
        total, last = self.weights.numel(), self.curvature
        if self.dense and last is not None:
            solve = from_precision(last.shift(prior))
            return lambda _: solve
        ready: list[Solve] = []

        def at(probabilities: Float64[Tensor, "rows classes"]) -> Solve:
            if last is None or not ready:
                sampled = total <= _SAMPLED_LIMIT
                make = _of_sample if sampled else _of_factors
                ready[:] = [make(self.rows, probabilities, prior)]
            return ready[0]

        return at

    def tune(self, start: float) -> tuple[Fitted, TuningEnding]:
        """The prior precision of greatest evidence: MacKay's fixed point, then a climb."""
        scale = self.scale
        bounds = (math.log(scale * _RANGE[0]), math.log(scale * _RANGE[1]))
        known = self._approach(min(max(math.log(start), bounds[0]), bounds[1]), bounds)
        peak = climb(lambda x: self.evaluate(x).log_evidence, known, bounds)
        best = self.best if self.best is not None else self.evaluate(peak.at)
        if not peak.converged:
            return best, TuningEnding.UNFINISHED
        if best.effective < 1e-4 or peak.bound > 0:
            return best, TuningEnding.PRIOR_CAPPED
        return best, TuningEnding.PRIOR_FLOORED if peak.bound < 0 else TuningEnding.TUNED

    def _approach(self, point: float, bounds: tuple[float, float]) -> dict[float, float]:
        """Steps ``α = γ/|W|²`` until they are short: log evidence by log prior precision."""
        # the fixed point neglects that the curvature moves with α; it brings the search near
        known: dict[float, float] = {}
        for _ in range(_FIXED_POINT_STEPS):
            found = self.evaluate(point)
            known[point] = found.log_evidence
            size = float(found.optimum.weights.square().sum())
            # MacKay's fixed point α = γ/|V|² (1992, equation 3.1), in logarithms
            proposal = math.log(max(found.effective, 1e-300) / size) if size > 0 else bounds[1]
            proposal = min(max(proposal, bounds[0]), bounds[1])
            if abs(proposal - point) < _NEAR:
                break
            point = proposal
        return known


def _of_sample(
    rows: Multinomial, probabilities: Float64[Tensor, "rows classes"], prior: float
) -> Solve:
    """Cholesky's solution with the curvature of a sample of the rows; factors where that fails."""
    width, count = rows.design.shape[1], rows.basis.shape[1]
    curvature = Multinomial.curvature(*rows.sampled(probabilities, max(_SAMPLE, width * count)))
    curvature.diagonal().add_(prior)
    # it fails for a prior below the rounding of a singular curvature
    return from_matrix(curvature) or _of_factors(rows, probabilities, prior)


def _of_factors(
    rows: Multinomial, probabilities: Float64[Tensor, "rows classes"], prior: float
) -> Solve:
    """The solution with Kronecker factors."""
    return from_precision(rows.kronecker(probabilities).shift(prior))
