"""The product of what models know of their weights, with the prior that they share counted once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.gaussian import Gaussian, Precision, Quadratic
from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._linear import WeightedMean
from counterpoint.merge.methods._method import (
    MergedTensor,
    MergeInputs,
    MergeMethod,
    compute_type,
)


@dataclass(frozen=True)
class GaussianProduct(MergeMethod):
    r"""Product of Gaussians, :math:`\Lambda = \sum_k s_k \Lambda_k - (\sum_k s_k - 1) \Lambda_0`.

    The mean is
    :math:`\Lambda^{-1} (\sum_k s_k \Lambda_k \mu_k - (\sum_k s_k - 1) \Lambda_0 \mu_0)`: what one
    would know after the data of all models, each of which began with the prior
    :math:`N(\mu_0, \Lambda_0^{-1})`. Exact where the Gaussians are (a regression's last layer); for
    Kronecker factors solved by conjugate gradients, for all other structures directly. Weights of
    which nothing is known are the weighted mean. The scales s are powers, 1 each.

    Attributes:
        prior: the shared prior; by default that which the Gaussians say (around zero).
        means: by name, as `surveyed` finds them.

    Raises:
        InputError: the Gaussians know no prior or different ones, or what remains is not positive.
    """

    prior: Gaussian | None = None
    means: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor], repr=False)
    facts: ClassVar[Facts] = METHODS["gaussian"]

    def surveyed(self, inputs: MergeInputs) -> "GaussianProduct":
        """With the product's mean."""
        gaussians = [
            _around(each, {name: inputs.tensors(name)[place] for name in inputs.names()}, place)
            for place, each in enumerate(inputs.evidence())
        ]
        powers = _powers(inputs, list(gaussians[0].mean))
        found = product(gaussians, prior=self.prior, powers=powers)
        return replace(self, means=found.mean)

    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """The product's mean, or the weighted one."""
        if about.name in self.means:
            return self.means[about.name].to(compute_type(tensors))
        total: Coefficient = sum(coefficients)
        return WeightedMean().merge(tensors, [each / total for each in coefficients], about)


def product(
    gaussians: Sequence[Gaussian],
    *,
    prior: Gaussian | None = None,
    powers: Sequence[float] | None = None,
) -> Gaussian:
    """The posterior given the data of all, each of which is a posterior under one prior.

    Args:
        gaussians: over the same weights; their precisions have the prior in them.
        prior: the one that they share; by default that which each of them says (mean zero).
        powers: one for each, 1 by default.

    Raises:
        InputError: they know no prior or different ones, are of other weights, or what remains
            is not positive (names the layer).

    >>> from counterpoint.gaussian import Diagonal
    >>> start = Gaussian.isotropic({"w": torch.zeros(1)}, precision=1.0)
    >>> ends = [Gaussian({"w": torch.tensor([m])}, Diagonal({"w": torch.tensor([3.0])}))
    ...         for m in (1.0, 2.0)]
    >>> both = product(ends, prior=start)
    >>> both.mean["w"], both.variances()["w"]  # (3 + 6) / 5, and 1 / (3 + 3 - 1)
    (tensor([1.8000]), tensor([0.2000], dtype=torch.float64))
    """
    scales = list(powers or (1.0,) * len(gaussians))
    shared = prior or _own_prior(gaussians)
    again = 1.0 - sum(scales)
    terms = [_double(each).scaled(scale) for each, scale in zip(gaussians, scales, strict=True)]
    terms = [*terms, _double(shared).scaled(again)] if again else terms
    # one centre for all, and one solve: nothing is inverted on the way
    energy = reduce(Quadratic.__add__, terms)
    _refuse_indefinite(energy.precision)
    counts = sum(scale * each.counts for each, scale in zip(gaussians, scales, strict=True))
    kept = shared.precision if all(not bool(m.any()) for m in shared.mean.values()) else None
    mean = {name: value.to(gaussians[0].mean[name]) for name, value in energy.minimum().items()}
    return Gaussian(mean, energy.precision, max(counts, 0.0), prior=kept)


def _double(each: Gaussian) -> Quadratic:
    """In float64: a prior beside much data is lost in the rounding of its multiples."""
    mean = {name: value.double() for name, value in each.mean.items()}
    return Quadratic(mean, each.precision.double())


def _own_prior(gaussians: Sequence[Gaussian]) -> Gaussian:
    priors = [each.prior for each in gaussians]
    known = [each for each in priors if each is not None]
    if len(known) < len(priors):
        place = next(i for i, each in enumerate(priors, 1) if each is None)
        raise InputError(
            f"gaussian: Gaussian {place} does not say its prior, which is to be counted once; give"
            " GaussianProduct(prior=...)"
        )
    for place, other in enumerate(known[1:], 2):
        mine, theirs = known[0].diagonal(), other.diagonal()
        for name, value in mine.items():
            if name not in theirs or not torch.allclose(value.double(), theirs[name].double()):
                raise InputError(
                    f"gaussian: the priors of Gaussians 1 and {place} differ at {name!r}; give the"
                    " one that they began with as GaussianProduct(prior=...)"
                )
    zero = {name: torch.zeros_like(value) for name, value in gaussians[0].mean.items()}
    return Gaussian(zero, known[0])


def _refuse_indefinite(precision: Precision) -> None:
    if precision.least() > 0:
        return
    # a layer's block of a positive matrix is positive: one that is not is where to look
    layers = dict[str, list[str]]()
    for name in precision.shapes:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    for layer, names in layers.items():
        least = precision.restrict(names).least()
        if not least > 0:
            raise InputError(
                f"gaussian: what remains of layer {layer or '(model)'!r} is not positive (least"
                f" eigenvalue {least:.4g}): the prior was counted by fewer models than"
                " there are, or is not theirs"
            )
    raise InputError("gaussian: what remains is not positive, by what layers share")


def _around(
    each: Mapping[str, Tensor] | Precision | Gaussian, weights: Mapping[str, Tensor], place: int
) -> Gaussian:
    """The Gaussian of a model, in float64 around what it says, or around the weights."""
    if isinstance(each, Mapping):
        raise InputError(
            f"gaussian: evidence {place + 1} must be a Gaussian or a Precision, found a mapping"
        )
    if not isinstance(each, Gaussian):
        mean = {name: weights[name].detach().double() for name in each.shapes}
        return Gaussian(mean, each)
    for name, value in each.mean.items():
        if name not in weights:
            raise InputError(f"gaussian: evidence {place + 1} is of {name!r}, which is not merged")
        if not torch.allclose(value.double(), weights[name].double(), rtol=1e-4, atol=1e-6):
            raise InputError(
                f"gaussian: evidence {place + 1} is around another {name!r} than model {place + 1}"
                " has; it was taken before or after"
            )
    return replace(each, mean={name: value.double() for name, value in each.mean.items()})


def _powers(inputs: MergeInputs, names: Sequence[str]) -> list[float]:
    """One power a model: a Gaussian over several layers has one."""
    found = {tuple(inputs.coefficients()[name]) for name in names}
    if len(found) > 1:
        raise InputError(
            "gaussian: weights are one power a model, the same for all layers that a Gaussian is of"
        )
    return [float(each) for each in found.pop()]
