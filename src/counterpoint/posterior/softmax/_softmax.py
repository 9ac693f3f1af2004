"""The Laplace approximation of a softmax last layer: exact optimum, Gaussian around it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from counterpoint.errors import InputError, one_of
from counterpoint.gaussian import Precision, precision_from
from counterpoint.goals import checked_weight
from counterpoint.posterior._rows import blocks, design, in_float64, refuse_width
from counterpoint.posterior._status import TuningEnding
from counterpoint.posterior.predictive._categorical import (
    CategoricalPredictive,
    labels_within,
    probit,
)
from counterpoint.posterior.softmax._multinomial import WEIGHT, Multinomial, contrasts, jacobian
from counterpoint.posterior.softmax._quadratic_likelihood import QuadraticLikelihood
from counterpoint.posterior.softmax._tuning import Fitted, Search
from counterpoint.storage import JSONValue

# every step of Newton's method and of the search for the prior factorises this matrix again, some
# hundred times a fit, so it is far below what is formed once
SOFTMAX_DENSE_LIMIT = 1024
"""Most weights ``(F + 1)(C − 1)`` whose covariance is kept in full; beyond, Kronecker factors."""


@dataclass(frozen=True)
class Softmax:
    r"""Gaussian posterior of ``label ~ Categorical(softmax(φ(x)'W))`` under ``W ~ N(0, I/α)``.

    ``φ`` is the features with a one appended. The optimum is exact (the problem is strictly
    concave); around it ``N(W, (H + αI)⁻¹)`` with ``H`` the curvature of the likelihood, which for
    a linear layer is Hessian, Fisher and generalised Gauss-Newton matrix at once (MacKay 1992, The
    evidence framework applied to classification networks; Daxberger et al. 2021). ``α`` is
    where the Laplace evidence ``log p(y | W) − α|W|²/2 + D/2 log α − ½ log det(H + αI)``, ``W`` and
    ``H`` refitted for every ``α``, is greatest.

    Attributes:
        mean: optimum ``W``, bias last; the classes' columns sum to zero.
        prior: precision ``α``.
        log_evidence: Laplace's approximation of ``log p(y | α)``, in nats.
        effective: ``Σ d/(d + α)``, the number of weights that the data determine.
        status: how the tuning ended, with a sentence.
        evaluations: optima computed on the way.
        precision: ``H + αI`` of the weights in contrasts (see `softmax.multinomial`): `Dense` up
            to `SOFTMAX_DENSE_LIMIT` of them and `Kronecker` beyond.

    >>> x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    >>> layer = Softmax.fit(x, torch.tensor([0, 0, 1, 1]), classes=2, prior=1.0)
    >>> near, far = layer.predict(torch.tensor([[2.0], [-2.0]])).probabilities
    >>> bool(near[1] > 0.8), torch.allclose(near, far.flip(0))
    (True, True)
    """

    mean: Float64[Tensor, "width classes"]
    prior: float
    log_evidence: float
    effective: float
    status: TuningEnding
    evaluations: int
    precision: Precision = field(repr=False)

    @classmethod
    def fit(
        cls,
        features: Float[Tensor, "rows features"],
        labels: Int64[Tensor, " labels"],
        classes: int,
        weight: Float[Tensor, "..."] | None = None,
        *,
        prior: float | None = None,
        start: float | None = None,
        near: "Softmax | None" = None,
        dense_limit: int = SOFTMAX_DENSE_LIMIT,
    ) -> "Softmax":
        """The Laplace approximation given rows.

        Args:
            features: rows x F, of any floating type, without a bias column.
            labels: class of each row, from 0.
            classes: C, at least 2; a class without rows is allowed.
            weight: rows, at least 0, as repetition; none means one each.
            prior: precision of the weights; none means the one of greatest evidence.
            start: where the search for it begins; none means a value from the data's scale.
            near: a posterior of the same features and classes, by another prior or some other rows:
                the search for the optimum begins there. It is the same, and sooner found.
            dense_limit: see `SOFTMAX_DENSE_LIMIT`.

        Raises:
            InputError: no row of positive weight, fewer than two classes, a label that is no
                class, features or weights that cannot be used (names the row), a prior or start
                that is not positive, or a `near` of other features or classes.
        """
        rows = _rows(features, labels, classes, weight)
        search = Search.over(rows, dense_limit)
        if near is not None:
            near._lead(search)
        if prior is not None:
            found = search.evaluate(math.log(_positive(prior, "prior")))
            return cls._of(rows, found, TuningEnding.GIVEN, search.evaluations)
        begin = search.start if start is None else _positive(start, "start")
        found, status = search.tune(begin)
        return cls._of(rows, found, status, search.evaluations)

    @classmethod
    def _of(
        cls, rows: Multinomial, found: Fitted, status: TuningEnding, evaluations: int
    ) -> "Softmax":
        if not found.optimum.converged:
            status = TuningEnding.UNFINISHED
        return cls(
            mean=found.optimum.weights @ rows.basis.T,
            prior=found.prior,
            log_evidence=found.log_evidence,
            effective=found.effective,
            status=status,
            evaluations=evaluations,
            precision=found.precision,
        )

    def _lead(self, search: Search) -> None:
        """Begin a search at this posterior: from its weights, with its curvature."""
        refuse_width(len(self.mean) - 1, search.rows.design.shape[1] - 1)
        if self.classes != len(search.rows.basis):
            raise InputError(
                f"near: expected {len(search.rows.basis)} classes, found {self.classes}"
            )
        # strictly concave: where the search begins, and what preconditions it, moves no optimum
        search.weights = self.mean @ search.rows.basis
        if search.dense and "matrix" in self.precision.tensors():
            search.curvature = self.precision.shift(-self.prior)

    @property
    def classes(self) -> int:
        """C."""
        return self.mean.shape[1]

    def update(
        self,
        features: Float[Tensor, "rows features"],
        labels: Int64[Tensor, " labels"],
        weight: Float[Tensor, "..."] | None = None,
        *,
        classes: int | None = None,
        keep: float = 1.0,
    ) -> "Softmax":
        """The posterior with more rows, without the earlier ones: recursive Laplace.

        With ``V`` the weights in contrasts, ``W = VB'``, the earlier rows count as the quadratic
        ``L(V) = αV₀'(V − V₀) − (V − V₀)'H₀(V − V₀)/2`` around their optimum ``V₀``, the new ones
        exactly: the mean is at the greatest ``keep L(V) + Σ w log p(label | V) − α|V|²/2``, the
        precision there ``keep H₀ + H + αI``: in full its exact sum, in Kronecker factors one
        product, of pooled sums. It stays in the form that it had, and ``α`` as it was (Ritter,
        Botev & Barber 2018; see `softmax.quadratic_likelihood`).

        New classes come last. Earlier rows say nothing about a new class: the weights of its
        contrast with the earlier ones have only the prior and the new rows, and what is kept is
        how the earlier classes compare among each other. With no rows of earlier classes among
        the new ones, a new class is therefore likely where the earlier rows lay, too.

        `log_evidence` becomes ``keep log p(earlier rows) + log p(new rows)`` with the prior
        integrated out, by Laplace; `status` stays unless the optimum was not found.

        Args:
            features: the new rows x F, as in the fit.
            labels: class of each new row, from 0.
            weight: of each new row, at least 0, as repetition; none means one each.
            classes: how many there are now; none means as many as before.
            keep: weight of the earlier rows, from 0 (forgotten: only the prior stays) to 1.

        Raises:
            InputError: no row of positive weight, fewer classes than before, `keep` outside 0
                to 1, another number of features, or labels, features or weights that cannot be
                used (names the row).

        >>> x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
        >>> layer = Softmax.fit(x, torch.tensor([0, 0, 1, 1]), classes=2, prior=1.0)
        >>> layer = layer.update(torch.tensor([[0.0], [9.0]]), torch.tensor([0, 2]), classes=3)
        >>> layer.predict(torch.tensor([[-2.0], [9.0]])).probabilities.argmax(1)
        tensor([0, 2])
        """
        count = self.classes if classes is None else classes
        if count < self.classes:
            raise InputError(
                f"classes: at least the {self.classes} of before are needed, found {count}"
            )
        if not 0 <= keep <= 1:
            raise InputError(f"keep: must be from 0 to 1, found {keep}")
        refuse_width(features.shape[1], self.mean.shape[0] - 1)
        rows = _rows(features, labels, count, weight)
        found = self._past(keep, count).joined(rows, keep * self._log_likelihood)
        return self._of(rows, found, self.status, self.evaluations + 1)

    def cost(self, other: "Softmax") -> float:
        """What the rows that this posterior came from lose by another's weights, in nats.

        As the Gaussian estimates it: ``d'H₀d/2 − αV₀'d`` for the step ``d = V − V₀`` in contrasts
        between the classes of this posterior. Below zero where the rows gain: ``V₀`` is the
        optimum with the prior, not of the rows alone. Of a posterior that was updated, earlier
        rows count as much as was kept of them.

        Args:
            other: a layer of the same features, with the same classes first; what it says of
                more classes does not count.

        Raises:
            InputError: it has another number of features, or fewer classes.
        """
        refuse_width(other.mean.shape[0] - 1, self.mean.shape[0] - 1)
        if other.classes < self.classes:
            raise InputError(
                f"classes: at least the {self.classes} of before are needed, found {other.classes}"
            )
        weights = other.mean @ contrasts(other.classes)
        gained = self._past(1.0, self.classes).log_likelihood(weights[:, : self.classes - 1])
        return 0.0 - gained

    def _past(self, keep: float, classes: int) -> QuadraticLikelihood:
        weights, full = self.mean @ contrasts(self.classes), "matrix" in self.precision.tensors()
        return QuadraticLikelihood.of(
            weights, self.precision, self.prior, keep, classes - 1, full=full
        )

    @property
    def _log_likelihood(self) -> float:
        """Of the rows at the optimum: the evidence without what Laplace added to it."""
        # Laplace: log p(y) = log p(y|V) - α|V|²/2 + ½ D log α - ½ log det(H + αI), solved for
        # log p(y|V)
        total = self.mean[:, 1:].numel()
        added = total * math.log(self.prior) - float(self.precision.logdet())
        return self.log_evidence + (self.prior * float(self.mean.square().sum()) - added) / 2

    def predict(
        self,
        features: Float[Tensor, "rows features"],
        *,
        link: str = "closed",
        generator: torch.Generator | None = None,
        samples: int = 200,
    ) -> CategoricalPredictive:
        """Class probabilities averaged over the posterior, and their variance.

        Args:
            features: rows x F, as in the fit.
            link: ``"closed"`` (the probit form) or ``"montecarlo"`` (see `predictive.categorical`).
            generator: source of randomness for Monte Carlo; none means torch's global one.
            samples: draws of the weights for Monte Carlo.

        Raises:
            InputError: another number of features, a value that is not finite (names the row), an
                unknown link, or fewer than two samples.
        """
        refuse_width(features.shape[1], self.mean.shape[0] - 1)
        link = one_of("link", link, ("closed", "montecarlo"))
        weights = None if link == "closed" else self.weights(generator, samples)
        probabilities = self.mean.new_empty(features.shape[0], self.classes)
        knowledge = torch.empty_like(probabilities)
        for rows in blocks(features.shape[0], max(1, 2**19 // self.classes**2)):
            phi = design(features[rows], rows.start).cpu()
            part = self._probit(phi) if weights is None else _average(phi, weights)
            probabilities[rows], knowledge[rows] = part.probabilities, part.knowledge
        return CategoricalPredictive(probabilities, knowledge)

    def _probit(self, phi: Float64[Tensor, "rows width"]) -> CategoricalPredictive:
        return probit(phi @ self.mean, self.precision.pull(jacobian(phi, self.classes)))

    def weights(
        self, generator: torch.Generator | None = None, draws: int = 1
    ) -> Float64[Tensor, "draws width classes"]:
        """Draws of the last layer's weights, bias last; the classes' columns sum to zero.

        Args:
            generator: source of randomness, on the CPU; none means torch's global one.
            draws: how many.
        """
        drawn = self.precision.draw(generator or torch.default_generator, draws)[WEIGHT]
        return self.mean + drawn.mT @ contrasts(self.classes).T

    def state(self) -> dict[str, Tensor]:
        """The posterior as named tensors, for storage; `from_state` takes them back."""
        numbers = [self.prior, self.log_evidence, self.effective, float(self.evaluations)]
        return {
            "mean": self.mean,
            "numbers": torch.tensor(numbers, dtype=torch.float64),
            "status": TuningEnding.encode([self.status]),
            **self.precision.tensors(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "Softmax":
        """The posterior that `state` wrote.

        Raises:
            InputError: a tensor is missing, of another shape or type, or impossible.
        """
        missing = sorted({"mean", "numbers", "status"} - state.keys())
        if missing:
            raise InputError(f"softmax: the state must hold {missing[0]!r}, found none")
        mean, numbers = state["mean"], state["numbers"]
        if mean.ndim != 2 or mean.shape[1] < 2 or mean.dtype != torch.float64:
            raise InputError(
                f"softmax: 'mean' must be float64, features + 1 by classes, "
                f"found {mean.dtype} {tuple(mean.shape)}"
            )
        finite = torch.isfinite(mean).all() & torch.isfinite(numbers).all()
        if numbers.shape != (4,) or not bool(finite) or float(numbers[0]) <= 0:
            raise InputError("softmax: 'mean' and 'numbers' must be finite, with a positive prior")
        prior, log_evidence, effective, evaluations = numbers.tolist()
        status = TuningEnding.decode(state["status"].reshape(-1))
        if len(status) != 1:
            raise InputError(f"softmax: expected one status code, found {len(status)}")
        return cls(
            mean.clone(),
            prior,
            log_evidence,
            effective,
            status[0],
            int(evaluations),
            _precision(state, [mean.shape[1] - 1, mean.shape[0]], prior),
        )


def _precision(state: Mapping[str, Tensor], shape: list[int], prior: float) -> Precision:
    """The precision whose tensors are in a state.

    Raises:
        InputError: they are missing, of other shapes, not finite, or not positive definite.
    """
    spec: dict[str, JSONValue] = {"scale": 1.0, "delta": prior}
    if "matrix" in state:
        spec |= {"kind": "dense", "shapes": [[WEIGHT, shape]]}
    else:
        spec |= {"kind": "kronecker", "weight": WEIGHT, "bias": None, "shape": shape}
    tensors = {name: tensor.double().clone() for name, tensor in state.items()}
    if tensors.keys() >= {"left", "right", "count"} and tensors["right"].ndim == 3:
        # older folders hold the left side divided by what the rows teach, and a
        # count of one; sums as they are made now stay as they are
        taught = tensors["right"][0, -1, -1]
        tensors["left"] = tensors["left"] * (taught / tensors["count"])
        tensors["count"] = taught
    precision = precision_from(spec, tensors)
    precision.variances()  # refuses what cannot be inverted
    return precision


def _rows(
    features: Float[Tensor, "rows features"],
    labels: Int64[Tensor, " labels"],
    classes: int,
    weight: Float[Tensor, "..."] | None,
) -> Multinomial:
    if classes < 2:
        raise InputError(f"classes: at least 2 are needed, found {classes}")
    count = features.shape[0]
    labels = labels_within(labels, (count,), classes)
    given = torch.ones(count) if weight is None else weight
    checked = in_float64(checked_weight(given, count)).cpu()
    if not bool((checked > 0).any()):
        raise InputError(f"rows: at least one of positive weight is needed, found {count} row(s)")
    phi = design(features).cpu()
    return Multinomial(phi, labels, checked, contrasts(classes))


def _positive(value: float, name: str) -> float:
    if not 0 < value < math.inf:
        raise InputError(f"{name}: must be positive and finite, found {value}")
    return float(value)


def _average(
    phi: Float64[Tensor, "rows width"], weights: Float64[Tensor, "draws width classes"]
) -> CategoricalPredictive:
    """Mean and variance of the probabilities over draws of the weights."""
    if weights.shape[0] < 2:
        raise InputError(f"samples: at least 2 are needed, found {weights.shape[0]}")
    total = phi.new_zeros(phi.shape[0], weights.shape[2])
    square = torch.zeros_like(total)
    for draw in weights:
        probabilities = (phi @ draw).softmax(1)
        total += probabilities
        square += probabilities.square()
    mean = total / weights.shape[0]
    variance = (square / weights.shape[0] - mean.square()).clamp_min(0)
    return CategoricalPredictive(mean, variance)
