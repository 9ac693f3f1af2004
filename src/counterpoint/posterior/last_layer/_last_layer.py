"""The neural linear model: an exact Gaussian over the weights of a linear last layer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.posterior._rows import blocks, design, refuse_width
from counterpoint.posterior._status import TuningEnding
from counterpoint.posterior.last_layer._evidence import Spectrum, tune
from counterpoint.posterior.last_layer._statistics import Statistics
from counterpoint.posterior.predictive._predictive import Predictive

_BLOCK = 2048
"""Rows to predict at a time: what a block needs stays in the cache."""


@dataclass(frozen=True)
class LastLayer:
    r"""Posterior of ``y_k = φ(x)'w_k + N(0, σ_k²)`` under ``w_k ~ N(0, I/α_k)``, target by target.

    ``φ`` is the features with a one appended, so the bias shares the prior (standardise targets).
    All targets share one eigenbasis ``Φ'WΦ = U diag(d) U'``; target k has the posterior precision
    ``U diag(d/σ_k² + α_k) U'`` and the mean ``U diag(d + α_k σ_k²)⁻¹ U'Φ'Wy_k``
    (Bishop 2006, eqs. 3.53 and 3.54). Nothing is approximated or sampled.

    Attributes:
        statistics: what was learned from, so rows can be added and removed.
        mean: posterior mean, bias last.
        prior: prior precision ``α`` of each target.
        noise: noise variance ``σ²`` of each target, of a row of weight one.
        log_evidence: ``log p(y_k | α_k, σ_k²)`` in nats.
        effective: ``γ = Σ d/(d + ασ²)``, the number of weights that the data determine.
        status: how the tuning of each target ended, with a sentence.
        iterations: evaluations of the evidence, for all targets at once.
        basis: ``U``.
        spectrum: ``d``.

    >>> x = torch.linspace(-1, 1, 50)[:, None]
    >>> layer = LastLayer.fit(Statistics.of(x, 2 * x), noise=0.01)
    >>> layer.mean.squeeze().round(decimals=2)  # slope 2, bias 0
    tensor([2., 0.], dtype=torch.float64)
    >>> far = layer.predict(torch.tensor([[0.0], [10.0]])).knowledge  # grows away from the rows
    >>> (far[1] / far[0] > 100).item()
    True
    """

    statistics: Statistics
    mean: Float64[Tensor, "width targets"]
    prior: Float64[Tensor, " targets"]
    noise: Float64[Tensor, " targets"]
    log_evidence: Float64[Tensor, " targets"]
    effective: Float64[Tensor, " targets"]
    status: tuple[TuningEnding, ...]
    iterations: int
    basis: Float64[Tensor, "width width"]
    spectrum: Float64[Tensor, " width"]

    @classmethod
    def fit(
        cls,
        statistics: Statistics,
        *,
        prior: Float[Tensor, "..."] | float | None = None,
        noise: Float[Tensor, "..."] | float | None = None,
    ) -> "LastLayer":
        """The posterior given sufficient statistics.

        Args:
            statistics: of the rows to learn from.
            prior: precision of the weights, one number or one a target; none means the value at
                which the evidence is greatest (see `last_layer.evidence`).
            noise: noise variance, likewise.

        Raises:
            InputError: the statistics hold no row of positive weight, or prior or noise are not
                positive.
        """
        if statistics.weight <= 0:
            raise InputError(
                "statistics: at least one row of positive weight is needed, "
                f"found {statistics.count} row(s) of total weight {statistics.weight:g}"
            )
        spectrum = Spectrum.of(statistics)
        given_prior = _positive(prior, "prior", statistics.targets)
        given_noise = _positive(noise, "noise", statistics.targets)
        found = tune(spectrum, given_prior, given_noise)
        # d/σ² + α = (d + α σ²)/σ²: the mean depends on the product alone
        ratio = found.prior * found.noise
        return cls(
            statistics=statistics,
            mean=spectrum.vectors @ (spectrum.projected / (spectrum.values[:, None] + ratio)),
            prior=found.prior,
            noise=found.noise,
            log_evidence=spectrum.log_evidence(found.prior, found.noise),
            effective=spectrum.effective(ratio),
            status=found.status,
            iterations=found.iterations,
            basis=spectrum.vectors,
            spectrum=spectrum.values,
        )

    @property
    def converged(self) -> tuple[bool, ...]:
        """Whether each target's prior and noise are where the evidence is greatest."""
        return tuple(status.converged for status in self.status)

    @property
    def variances(self) -> Float64[Tensor, "width targets"]:
        """Posterior variances along the eigenbasis: ``1/(d/σ² + α)``."""
        return 1 / (self.spectrum[:, None] / self.noise + self.prior)

    def predict(
        self, features: Float[Tensor, "rows features"], *, joint: bool = False
    ) -> Predictive:
        """The predictive distribution of rows, in closed form.

        Args:
            features: rows x F, as in the fit. Of float32 the products for the variance of the mean
                are in float32, too, to a few parts in a million and in half the time.
            joint: also the covariance of the means across rows (targets x rows x rows).

        Returns:
            Float64 on the CPU. The variance of the mean is a sum of squares: never negative.

        Raises:
            InputError: another number of features, or a value that is not finite (names the row).
        """
        refuse_width(features.shape[1], self.statistics.features)
        mean = self.mean.new_empty(features.shape[0], self.statistics.targets)
        knowledge = torch.empty_like(mean)
        narrow = torch.float32 if features.dtype == torch.float32 else torch.float64
        basis = self.basis.to(narrow)
        for rows in blocks(features.shape[0], _BLOCK):
            phi = design(features[rows], rows.start).cpu()
            mean[rows] = phi @ self.mean
            # φ' U diag(v) U' φ as a sum of squares: never negative
            along = (phi.to(narrow) @ basis).double()
            knowledge[rows] = along.square_() @ self.variances
        covariance = self.covariance(features) if joint else None
        return Predictive(mean, self.noise.expand_as(mean), knowledge, covariance)

    def covariance(
        self,
        features: Float[Tensor, "rows features"],
        others: Float[Tensor, "columns features"] | None = None,
    ) -> Float64[Tensor, "targets rows columns"]:
        """Posterior covariance of the means at `features` with those at `others`.

        Args:
            features: rows x F.
            others: columns x F; none means the same rows.

        Raises:
            InputError: another number of features, or a value that is not finite.
        """
        refuse_width(features.shape[1], self.statistics.features)
        left = design(features).cpu() @ self.basis
        right = left
        if others is not None:
            refuse_width(others.shape[1], self.statistics.features)
            right = design(others).cpu() @ self.basis
        return torch.stack([(left * column) @ right.T for column in self.variances.T])

    def weights(
        self, generator: torch.Generator | None = None, draws: int = 1
    ) -> Float64[Tensor, "draws width targets"]:
        """Draws of the last layer's weights, bias last, from their exact posterior.

        Args:
            generator: source of randomness, on the CPU; none means torch's global one.
            draws: how many.
        """
        unit = torch.randn(draws, *self.mean.shape, generator=generator, dtype=torch.float64)
        # U diag(√v) z has the covariance U diag(v) U'
        return self.mean + self.basis @ (unit * self.variances.sqrt())

    def update(self, rows: Statistics, *, tune: bool = False, keep: float = 1.0) -> "LastLayer":
        """The posterior with more rows: exactly that of a fit on all of them.

        Args:
            rows: statistics of the new rows.
            tune: maximise the evidence again; otherwise prior and noise stay.
            keep: weight of what was learned before; below one it is forgotten gradually (the
                likelihood to that power; the prior stays).

        Raises:
            InputError: other numbers of features or targets, or `keep` is not positive.
        """
        old = self.statistics if keep == 1.0 else self.statistics.scaled(keep)
        return self._refit(old + rows, tune)

    def remove(self, rows: Statistics, *, tune: bool = False) -> "LastLayer":
        """The posterior without some of its rows: exactly that of a fit on the others.

        Args:
            rows: statistics of the rows to take out, with the weights they came with.
            tune: maximise the evidence again; otherwise prior and noise stay.

        Raises:
            InputError: the rows were not all there, or none would remain.
        """
        return self._refit(self.statistics - rows, tune)

    def _refit(self, statistics: Statistics, tune: bool) -> "LastLayer":
        if tune:
            return self.fit(statistics)
        return self.fit(statistics, prior=self.prior, noise=self.noise)

    def state(self) -> dict[str, Tensor]:
        """The posterior as named tensors, for storage; `from_state` takes them back."""
        return {
            **self.statistics.state(),
            "prior": self.prior,
            "noise": self.noise,
            "status": TuningEnding.encode(self.status),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "LastLayer":
        """The posterior that `state` wrote; the eigenbasis is computed afresh.

        Raises:
            InputError: a tensor is missing, of another shape or type, or impossible.
        """
        statistics = Statistics.from_state(state)
        missing = sorted({"prior", "noise", "status"} - state.keys())
        if missing:
            raise InputError(f"last layer: the state must hold {missing[0]!r}, found none")
        layer = cls.fit(statistics, prior=state["prior"], noise=state["noise"])
        status = TuningEnding.decode(state["status"])
        if len(status) != statistics.targets:
            raise InputError(
                f"last layer: expected {statistics.targets} status codes, found {len(status)}"
            )
        return replace(layer, status=status)


def _positive(
    value: Float[Tensor, "..."] | float | None, name: str, targets: int
) -> Float64[Tensor, " targets"] | None:
    """One positive number a target, or none."""
    if value is None:
        return None
    tensor = torch.as_tensor(value, dtype=torch.float64).detach().cpu()
    if tensor.shape not in {(), (targets,)}:
        raise InputError(
            f"{name}: expected one number or {targets}, found shape {tuple(tensor.shape)}"
        )
    if not bool((torch.isfinite(tensor) & (tensor > 0)).all()):
        raise InputError(f"{name}: must be positive and finite, found {tensor.tolist()}")
    return tensor.expand(targets).clone()
