"""From Gaussian outputs, or draws of outputs, to the predictive distribution of a likelihood.

Which one it is follows from the torch distribution that the likelihood itself makes of an output.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli as BernoulliDistribution
from torch.distributions import Categorical as CategoricalDistribution
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import Independent
from torch.distributions import Poisson as PoissonDistribution

from counterpoint.curvature import NormalOutput
from counterpoint.errors import InputError
from counterpoint.goals import Likelihood
from counterpoint.posterior._protocol import Distribution
from counterpoint.posterior.predictive._categorical import CategoricalPredictive, probit
from counterpoint.posterior.predictive._counts import (
    BernoulliPredictive,
    PoissonPredictive,
    log_normal,
    logistic,
)
from counterpoint.posterior.predictive._mixture import MixturePredictive
from counterpoint.posterior.predictive._predictive import Predictive


def closed(likelihood: Likelihood, normal: NormalOutput, noise_scale: float) -> Distribution:
    """The distribution of the target when the output is normal, in closed form."""
    mean = normal.mean
    variance = normal.shaped(normal.covariance.diagonal(dim1=2, dim2=3).clamp_min(0))
    if likelihood.noise is not None:
        noise = _expanded(likelihood.noise, mean, noise_scale)
        return Predictive(mean.double(), noise, variance.double())
    found = likelihood.marginal(mean.double(), variance.double())
    if found is not None:
        return Predictive(*found)
    # of a natural parameter the link is the family's canonical one, and known by the family
    family = _single(likelihood.distribution(mean)) if likelihood.natural else None
    if isinstance(family, CategoricalDistribution):
        return _competing(likelihood, normal)
    if isinstance(family, BernoulliDistribution):
        return logistic(mean, variance)
    if isinstance(family, PoissonDistribution):
        return log_normal(mean, variance)
    raise InputError(
        f"link: a {type(likelihood).__name__} likelihood has no closed form here; use "
        "link='montecarlo', which takes what its distribution(...) says"
    )


def sampled(
    likelihood: Likelihood, draws: Float[Tensor, "draws rows ..."], noise_scale: float
) -> Distribution:
    """The distribution of the target from draws of the output."""
    if draws.shape[0] < 2:
        raise InputError(f"samples: at least 2 are needed, found {draws.shape[0]}")
    draws = draws.double()
    if likelihood.noise is not None:
        noise = _expanded(likelihood.noise, draws[0], noise_scale)
        # total variance: the noise is known, so only means differ from draw to draw
        return Predictive(draws.mean(0), noise, draws.var(0))
    with torch.no_grad():
        family = _single(likelihood.distribution(draws.flatten(0, 1)))
    if isinstance(family, PoissonDistribution):
        return _moments(family.rate.view_as(draws))
    if isinstance(family, CategoricalDistribution):
        axis = likelihood.class_axis(draws[0])
        # a distribution of classes has them last, wherever the output does
        probabilities = family.probs.movedim(-1, axis).reshape(draws.shape)
        return CategoricalPredictive(*_spread(probabilities), dim=axis)
    if isinstance(family, BernoulliDistribution):
        return BernoulliPredictive(*_spread(family.probs.view_as(draws)))
    return MixturePredictive(likelihood, draws)


def _single(distribution: TorchDistribution) -> TorchDistribution:
    """What each output of a row follows."""
    return distribution.base_dist if isinstance(distribution, Independent) else distribution


def joined(parts: Sequence[Distribution]) -> Distribution:
    """The distributions of all rows, from those of some rows each: rows come first in all."""
    first: Any = parts[0]
    if len(parts) == 1:
        return first
    values = {one.name: [getattr(part, one.name) for part in parts] for one in fields(first)}
    return type(first)(
        **{
            name: torch.cat(each) if isinstance(each[0], Tensor) else each[0]
            for name, each in values.items()
        }
    )


def _competing(likelihood: Likelihood, normal: NormalOutput) -> CategoricalPredictive:
    """The probit form of the classes that compete, and nothing for the others."""
    mean, covariance = normal.mean.double().cpu(), normal.covariance.double().cpu()
    blocks = normal.blocks.cpu()
    # of every position alike, so the first says which
    used = likelihood.used(mean).flatten()[blocks[0]]
    logits = mean.flatten(1)[:, blocks][:, :, used].flatten(0, 1)
    found = probit(logits, covariance.flatten(0, 1)[:, used][:, :, used])
    whole = mean.new_zeros(2, len(mean), *blocks.shape)
    both = torch.stack([found.probabilities, found.knowledge])
    whole[..., used] = both.view(2, len(mean), len(blocks), -1)
    return CategoricalPredictive(*normal.shaped(whole), dim=likelihood.class_axis(mean))


def _spread(probabilities: Float[Tensor, "draws rows ..."]) -> tuple[Tensor, Tensor]:
    """Mean and variance of probabilities; rounding makes no more of it than an indicator has."""
    mean, knowledge = probabilities.mean(0), probabilities.var(0, correction=0)
    # a mean p of values in [0, 1] has a variance of at most p (1 - p)
    return mean, torch.minimum(knowledge, mean * (1 - mean))


def _moments(rates: Float[Tensor, "draws rows ..."]) -> PoissonPredictive:
    """The lognormal with the mean and variance of the rates drawn."""
    mean = rates.mean(0)
    # log normal moments solved for: s² = log(1 + v / m²), μ = log m - s² / 2
    variance = torch.log1p(rates.var(0) / mean.square())
    return PoissonPredictive(mean.log() - variance / 2, variance)


def _expanded(noise: Tensor, like: Tensor, scale: float) -> Tensor:
    return (noise.detach().to(like).double() * scale).expand(like.shape).clone()
