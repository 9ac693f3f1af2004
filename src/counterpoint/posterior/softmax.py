"""The Laplace approximation of a softmax last layer: exact optimum, Gaussian around it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from counterpoint.errors import InputError, nearest
from counterpoint.gaussian import Precision, precision_from
from counterpoint.posterior.categorical import CategoricalPredictive, labels_within, probit
from counterpoint.posterior.multinomial import WEIGHT, Multinomial, contrasts, jacobian
from counterpoint.posterior.rows import blocks, checked_weight, design, refuse_width
from counterpoint.posterior.status import Status
from counterpoint.posterior.tuning import Fitted, Search
from counterpoint.storage import JSONValue

__all__ = ["DENSE_LIMIT", "Softmax"]

DENSE_LIMIT = 1024
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
        precision: ``H + αI`` of the weights in contrasts (see `posterior.multinomial`): `Dense` up
            to `DENSE_LIMIT` of them and `Kronecker` beyond.

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
    status: Status
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
        dense_limit: int = DENSE_LIMIT,
    ) -> "Softmax":
        """The Laplace approximation given rows.

        Args:
            features: rows x F, of any floating type, without a bias column.
            labels: class of each row, from 0.
            classes: C, at least 2; a class without rows is allowed.
            weight: rows, at least 0, as repetition; none means one each.
            prior: precision of the weights; none means the one of greatest evidence.
            start: where the search for it begins; none means a value from the data's scale.
            dense_limit: see `DENSE_LIMIT`.

        Raises:
            InputError: no row of positive weight, fewer than two classes, a label that is no
                class, features or weights that cannot be used (names the row), or a prior or start
                that is not positive.
        """
        rows = _rows(features, labels, classes, weight)
        search = Search.over(rows, dense_limit)
        if prior is not None:
            found = search.evaluate(math.log(_positive(prior, "prior")))
            return cls._of(search, found, Status.GIVEN)
        begin = search.start if start is None else _positive(start, "start")
        return cls._of(search, *search.tune(begin))

    @classmethod
    def _of(cls, search: "Search", found: "Fitted", status: Status) -> "Softmax":
        if not found.optimum.converged:
            status = Status.UNFINISHED
        return cls(
            mean=found.optimum.weights @ search.rows.basis.T,
            prior=found.prior,
            log_evidence=found.log_evidence,
            effective=found.effective,
            status=status,
            evaluations=search.evaluations,
            precision=found.precision,
        )

    @property
    def classes(self) -> int:
        """C."""
        return self.mean.shape[1]

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
            link: ``"closed"`` (the probit form) or ``"montecarlo"`` (see `posterior.categorical`).
            generator: source of randomness for Monte Carlo; none means torch's global one.
            samples: draws of the weights for Monte Carlo.

        Raises:
            InputError: another number of features, a value that is not finite (names the row), an
                unknown link, or fewer than two samples.
        """
        refuse_width(features.shape[1], self.mean.shape[0] - 1)
        if link not in {"closed", "montecarlo"}:
            known = nearest(link, ["closed", "montecarlo"])
            raise InputError(f"link: must be 'closed' or 'montecarlo', found {link!r}{known}")
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
            "status": Status.encode([self.status]),
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
        status = Status.decode(state["status"].reshape(-1))
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
    labels = labels_within(labels, count, classes)
    given = torch.ones(count) if weight is None else weight
    checked = checked_weight(given, count).cpu()
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
