"""A Gaussian over named weights: what is known about trained weights, in one object."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from math import log, pi

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.errors import InputError, nearest
from counterpoint.gaussian._algebra import add, subtract
from counterpoint.gaussian._diagonal import Isotropic
from counterpoint.gaussian._divergence import trace
from counterpoint.gaussian._evidence import ExampleEvidence
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._quadratic import Quadratic
from counterpoint.gaussian._state import precision_from
from counterpoint.parameters import named
from counterpoint.plain import StrPath
from counterpoint.storage import read_folder, write_folder

_KIND = "gaussian"
_SCHEMA = 1
_LISTED = 3


@dataclass(frozen=True, eq=False)
class Gaussian:
    """``N(mean, P⁻¹)``, closed under products, quotients and powers.

    >>> from counterpoint.gaussian import Diagonal
    >>> prior = Gaussian.isotropic({"w": torch.zeros(1)}, precision=1.0)
    >>> seen = Gaussian({"w": torch.tensor([4.0])}, Diagonal({"w": torch.tensor([3.0])}), 10)
    >>> both = prior * seen  # precisions add, means are weighted by them
    >>> both.mean, both.variances(), both.counts
    ({'w': tensor([3.])}, {'w': tensor([0.2500])}, 10.0)

    Attributes:
        mean: name -> the mean of the weights; kept without a graph.
        precision: of the same names and shapes.
        counts: examples whose evidence is in it.
        tempering: the power to which their evidence is raised, on average; ``counts * tempering``
            is the effective number of examples.
        prior: precision of the prior with mean zero that is in it, where that is known: what to
            divide a product of posteriors by. Products, quotients and powers no longer know it.

    Raises:
        InputError: mean and precision are not about the same weights.
    """

    mean: dict[str, Tensor]
    precision: Precision
    counts: float = 0.0
    tempering: float = 1.0
    prior: Precision | None = None

    def __post_init__(self) -> None:
        shapes = {name: value.shape for name, value in self.mean.items()}
        _refuse_other(shapes, self.precision.shapes, "mean", "the precision")
        if self.prior is not None:
            _refuse_other(shapes, self.prior.shapes, "mean", "the prior")
        clean = {name: value.detach() for name, value in self.mean.items()}
        object.__setattr__(self, "mean", clean)
        object.__setattr__(self, "counts", float(self.counts))
        object.__setattr__(self, "tempering", float(self.tempering))

    @classmethod
    def isotropic(
        cls, weights: nn.Module | Mapping[str, Tensor], precision: float = 1.0, mean: float = 0.0
    ) -> "Gaussian":
        """One precision and one mean for all weights of a module or mapping (weight decay).

        Raises:
            InputError: the precision is not positive and finite.
        """
        if not 0 < precision < float("inf"):
            raise InputError(f"precision: must be positive and finite, found {precision}")
        tensors = named(weights) if isinstance(weights, nn.Module) else weights
        shapes = {name: value.shape for name, value in tensors.items()}
        means = {name: torch.full_like(value.detach(), mean) for name, value in tensors.items()}
        first = next(iter(means.values()), torch.zeros(()))
        return cls(means, Isotropic(first.new_tensor(precision), shapes))

    def __mul__(self, other: "Gaussian") -> "Gaussian":
        """The product: ``P = P_1 + P_2`` and ``P μ = P_1 μ_1 + P_2 μ_2`` (Bayes' rule)."""
        precision = add(self.precision, other.precision)
        mean = self._towards(other, precision, 1.0)
        return _told(mean, precision, self.evidence.plus(other.evidence))

    def __truediv__(self, other: "Gaussian") -> "Gaussian":
        """The quotient, which a product with `other` undoes: a shared prior counted once.

        Raises:
            InputError: the result is not positive definite (says the eigenvalue).
        """
        precision = subtract(self.precision, other.precision)
        mean = self._towards(other, precision, -1.0)
        return _told(mean, precision, self.evidence.plus(other.evidence, -1.0))

    def __pow__(self, power: float) -> "Gaussian":
        """``P`` times a positive power: tempering, or forgetting below one.

        Raises:
            InputError: the power is not positive and finite.
        """
        if not 0 < power < float("inf"):
            raise InputError(f"power: must be positive and finite, found {power}")
        return _told(self.mean, self.precision.scaled(power), self.evidence.power(power))

    def energy(self, parameters: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """``1/2 (θ - μ)' P (θ - μ)``, with gradient ``P (θ - μ)``: the penalty of EWC.

        Raises:
            InputError: names or shapes are not those of the mean.
        """
        self.matching(parameters)
        return self.quadratic.energy(parameters)

    @property
    def evidence(self) -> ExampleEvidence:
        """Examples and tempering, which add as the precisions do."""
        return ExampleEvidence(self.counts, self.tempering)

    @cached_property
    def quadratic(self) -> Quadratic:
        """Its energy as a function that can be added, scaled and moved."""
        return Quadratic(self.mean, self.precision)

    def log_prob(self, parameters: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """The log density; differentiable in the parameters, not in the precision.

        Raises:
            InputError: names or shapes are not those of the mean.
        """
        return self._norm - self.energy(parameters)

    def sample(self, generator: torch.Generator, count: int) -> dict[str, Tensor]:
        """Draws: name -> ``(count, *shape)``."""
        drawn = self.precision.draw(generator, count)
        return {name: value + drawn[name].to(value) for name, value in self.mean.items()}

    def variances(self) -> dict[str, Tensor]:
        """The marginal variance of each weight."""
        return self.precision.variances()

    def marginal(self, names: str | Sequence[str]) -> "Gaussian":
        """The Gaussian of some weights alone, others integrated out.

        Args:
            names: a glob or several; ``*`` also crosses dots.

        Raises:
            InputError: a glob matches nothing, or the structure has no such marginal.
        """
        globs = [names] if isinstance(names, str) else names
        for glob in globs:
            if not any(fnmatchcase(name, glob) for name in self.mean):
                raise InputError(f"marginal: {glob!r} matches no weight{nearest(glob, self.mean)}")
        mean = {
            name: value
            for name, value in self.mean.items()
            if any(fnmatchcase(name, glob) for glob in globs)
        }
        prior = None if self.prior is None else self.prior.restrict(list(mean))
        precision = self.precision.marginal(list(mean))
        return replace(self, mean=mean, precision=precision, prior=prior)

    def kl(self, other: "Gaussian") -> Float[Tensor, ""]:
        """``KL(self || other)`` in nats, without a graph.

        ``1/2 (tr(P_2 P_1⁻¹) - n + (μ_1 - μ_2)' P_2 (μ_1 - μ_2) + log det P_1 - log det P_2)``.

        Raises:
            InputError: of other weights, or neither side is diagonal and there are more than 4096.
        """
        _refuse_other(self.precision.shapes, other.precision.shapes, "self", "other")
        with torch.no_grad():
            ratio = self.precision.logdet() - other.precision.logdet()
            spread = trace(other.precision, self.precision) - self.precision.total
            return other.energy(self.mean).double() + (spread + ratio) / 2

    def matching(self, parameters: Mapping[str, Tensor]) -> None:
        """Refuse weights whose names or shapes are not those of the mean.

        Raises:
            InputError: lists what is missing, unexpected and of another shape.
        """
        found = {name: value.shape for name, value in parameters.items()}
        _refuse_other(found, self.precision.shapes, "parameters", "the gaussian")

    def save(self, path: StrPath, *, overwrite: bool = False) -> None:
        """Write a folder that `load` reads back to the same bits.

        Raises:
            InputError: it exists already, or the disk refused.
        """
        data = {
            "precision": self.precision.spec(),
            "names": list(self.mean),
            "counts": self.counts,
            "tempering": self.tempering,
            "mean": _digest(self.mean),
            "prior": None if self.prior is None else self.prior.spec(),
        }
        tensors = {"mean": self.mean, "precision": self.precision.tensors()}
        if self.prior is not None:
            tensors["prior"] = self.prior.tensors()
        write_folder(
            path, kind=_KIND, schema=_SCHEMA, tensors=tensors, data=data, overwrite=overwrite
        )

    @classmethod
    def load(cls, path: StrPath) -> "Gaussian":
        """The Gaussian that `save` wrote.

        Raises:
            InputError: the folder is not one of a Gaussian, or is damaged.
        """
        folder = read_folder(path, kind=_KIND, schema=_SCHEMA)
        data, mean = folder.data, folder.tensors("mean")
        if not isinstance(data, dict) or sorted(data.get("names", ())) != sorted(mean):
            raise InputError(f"{path}: the manifest and the mean do not name the same weights")
        mean = {name: mean[name] for name in data["names"]}
        if _digest(mean) != data.get("mean"):
            raise InputError(f"{path}: the mean is not the one that the precision was taken at")
        precision = precision_from(data.get("precision"), folder.tensors("precision"))
        prior, spec = None, data.get("prior")
        if spec is not None:
            prior = precision_from(spec, folder.tensors("prior"))
        return cls(mean, precision, float(data["counts"]), float(data["tempering"]), prior)

    def _towards(self, other: "Gaussian", precision: Precision, sign: float) -> dict[str, Tensor]:
        # μ_1 - P⁻¹ (± P_2) (μ_1 - μ_2): no cancellation where the means agree
        there = other.quadratic.around(self.mean).scaled(sign)
        return Quadratic(self.mean, precision, there.slope).minimum()

    @cached_property
    def _norm(self) -> Float[Tensor, ""]:
        with torch.no_grad():
            return (self.precision.logdet() - self.precision.total * log(2 * pi)) / 2


def _told(mean: dict[str, Tensor], precision: Precision, evidence: ExampleEvidence) -> Gaussian:
    """A Gaussian that was computed from others, whose prior is no longer known."""
    return Gaussian(mean, precision, evidence.counts, evidence.tempering)


def _refuse_other(
    found: Mapping[str, torch.Size], wanted: Mapping[str, torch.Size], what: str, whose: str
) -> None:
    shared = found.keys() & wanted.keys()
    shaped = [
        f"{name} {tuple(found[name])} for {tuple(wanted[name])}"
        for name in sorted(shared)
        if found[name] != wanted[name]
    ]
    complaints = [
        _some("missing", sorted(wanted.keys() - shared)),
        _some("unexpected", sorted(found.keys() - shared)),
        _some("of another shape", shaped),
    ]
    if any(complaints):
        listed = "; ".join(complaint for complaint in complaints if complaint)
        raise InputError(f"{what}: must have the names and shapes of {whose}, found {listed}")


def _some(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{len(names)} {what} ({', '.join(names[:_LISTED])}{more})"


def _digest(mean: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in mean.items():
        # name, type and shape as well: equal bytes of another shape are another mean
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        # as bytes, because numpy has no bfloat16
        digest.update(
            value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()
