"""From Gaussian outputs, or draws of outputs, to the predictive distribution of a likelihood."""

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.goals import Bernoulli, Categorical, Likelihood, Normal, Poisson
from counterpoint.posterior.predictive.categorical import CategoricalPredictive, probit
from counterpoint.posterior.predictive.counts import (
    BernoulliPredictive,
    PoissonPredictive,
    log_normal,
    logistic,
)
from counterpoint.posterior.predictive.predictive import Predictive
from counterpoint.posterior.protocol import Distribution

__all__ = ["closed", "sampled"]


def closed(
    likelihood: Likelihood,
    mean: Float[Tensor, "rows outputs"],
    covariance: Float[Tensor, "rows outputs outputs"],
    noise_scale: float,
) -> Distribution:
    """The distribution of the target when the output is normal, in closed form.

    Args:
        likelihood: of the target given the output.
        mean: of the output.
        covariance: of the output.
        noise_scale: what a normal likelihood's noise variance is multiplied by.

    Raises:
        InputError: a likelihood without a closed form.
    """
    variance = covariance.diagonal(dim1=1, dim2=2)
    if isinstance(likelihood, Normal):
        noise = _noise(likelihood, mean, noise_scale)
        return Predictive(mean.double(), noise, variance.double().clamp_min(0))
    if isinstance(likelihood, Categorical) and likelihood.inputs == "logits":
        return probit(mean.double().cpu(), covariance.double().cpu())
    if isinstance(likelihood, Bernoulli):
        return logistic(mean, variance.clamp_min(0))
    if isinstance(likelihood, Poisson):
        return log_normal(mean, variance.clamp_min(0))
    raise InputError(
        f"link: a {type(likelihood).__name__} likelihood has no closed form here; use "
        "link='montecarlo'"
    )


def sampled(
    likelihood: Likelihood, draws: Float[Tensor, "draws rows outputs"], noise_scale: float
) -> Distribution:
    """The distribution of the target from draws of the output.

    Args:
        likelihood: of the target given the output.
        draws: of the output, at least two.
        noise_scale: what a normal likelihood's noise variance is multiplied by.

    Raises:
        InputError: fewer than two draws, or another likelihood.
    """
    if draws.shape[0] < 2:
        raise InputError(f"samples: at least 2 are needed, found {draws.shape[0]}")
    draws = draws.double()
    if isinstance(likelihood, Normal):
        noise = _noise(likelihood, draws[0], noise_scale)
        return Predictive(draws.mean(0), noise, draws.var(0))
    if isinstance(likelihood, Poisson):
        return _moments(draws)
    if isinstance(likelihood, Categorical):
        probabilities = draws if likelihood.inputs == "probabilities" else draws.softmax(-1)
    elif isinstance(likelihood, Bernoulli):
        probabilities = draws.sigmoid()
    else:
        raise InputError(
            f"predict: a {type(likelihood).__name__} likelihood is none of Normal, Categorical, "
            "Bernoulli and Poisson; take the outputs and their covariance from outputs(...)"
        )
    mean, knowledge = probabilities.mean(0), probabilities.var(0, correction=0)
    knowledge = torch.minimum(knowledge, mean * (1 - mean))
    made = BernoulliPredictive if isinstance(likelihood, Bernoulli) else CategoricalPredictive
    return made(mean, knowledge)


def _moments(draws: Float[Tensor, "draws rows outputs"]) -> PoissonPredictive:
    """The lognormal with the mean and variance of the rates drawn."""
    rates = draws.exp()
    mean = rates.mean(0)
    variance = torch.log1p(rates.var(0) / mean.square())
    return PoissonPredictive(mean.log() - variance / 2, variance)


def _noise(likelihood: Normal, like: Tensor, scale: float) -> Tensor:
    noise = likelihood.noise.detach().to(like).double() * scale
    return noise.expand(like.shape).clone()
