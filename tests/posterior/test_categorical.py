"""Categorical predictive distributions against sampling and quadrature."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from counterpoint.errors import InputError
from counterpoint.posterior import CategoricalPredictive, Distribution
from counterpoint.posterior.predictive._categorical import probit
from counterpoint.seeding import generator


def gauss_hermite(mean, variance, function):
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    values = torch.from_numpy(mean + math.sqrt(variance) * nodes)
    return float(torch.from_numpy(weights / weights.sum()) @ function(values))


def two(mean, variance):
    """Two classes whose logit difference (first minus second) is N(mean, variance)."""
    covariance = variance / 4 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()
    return probit(torch.tensor([[mean / 2, -mean / 2]]).double(), covariance[None])


@settings(max_examples=60, deadline=None)
@given(mean=st.floats(-6, 6), variance=st.floats(0.0, 40.0))
def test_two_classes_are_near_the_integral(mean, variance):
    found = two(mean, variance)
    first = gauss_hermite(mean, variance, torch.sigmoid)
    second = gauss_hermite(mean, variance, lambda f: torch.sigmoid(f) ** 2)
    assert float(found.probabilities[0, 0]) == pytest.approx(first, abs=0.02)
    assert float(found.knowledge[0, 0]) == pytest.approx(second - first**2, abs=0.008)
    assert float(found.knowledge[0, 0]) <= 2.5 * (second - first**2) + 1e-12


def test_two_classes_are_mackays_formula():
    found = float(two(1.3, 5.0).probabilities[0, 0])
    assert found == pytest.approx(1 / (1 + math.exp(-1.3 / math.sqrt(1 + math.pi / 8 * 5.0))))


def test_without_variance_it_is_the_softmax():
    mean = torch.randn(5, 4, generator=generator(0)).double()
    found = probit(mean, torch.zeros(5, 4, 4).double())
    torch.testing.assert_close(found.probabilities, mean.softmax(1))
    assert float(found.knowledge.abs().max()) < 1e-12


def test_small_variances_follow_the_delta_method():
    mean = torch.randn(5, 4, generator=generator(0)).double()
    root = 1e-3 * torch.randn(5, 4, 4, generator=generator(1)).double()
    covariance = root @ root.mT
    p = mean.softmax(1)
    slope = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    wanted = (slope @ covariance @ slope).diagonal(dim1=1, dim2=2)
    found = probit(mean, covariance).knowledge
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), classes=st.integers(2, 6), scale=st.sampled_from([0.0, 1.0, 30.0]))
def test_bounds_and_common_shifts(seed, classes, scale):
    mean = 5 * torch.randn(3, classes, generator=generator(seed)).double()
    root = scale * torch.randn(3, classes, classes, generator=generator(seed, 1)).double()
    found = probit(mean, root @ root.mT)
    torch.testing.assert_close(found.probabilities.sum(1), torch.ones(3).double())
    assert bool((found.knowledge >= 0).all() & (found.noise >= 0).all())
    shifted = probit(mean + 7.0, root @ root.mT + 100.0)  # the same uncertain shift for all
    torch.testing.assert_close(shifted.probabilities, found.probabilities, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(shifted.knowledge, found.knowledge, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("classes", [3, 10])
def test_many_classes_are_near_sampling(classes):
    mean = torch.randn(4, classes, generator=generator(0)).double()
    root = 0.7 * torch.randn(4, classes, classes, generator=generator(1)).double() / classes**0.5
    unit = torch.randn(40_000, 4, classes, generator=generator(2)).double()
    drawn = (mean + torch.einsum("nab,snb->sna", root, unit)).softmax(2)
    found = probit(mean, root @ root.mT)
    assert float((found.probabilities - drawn.mean(0)).abs().max()) < 0.02
    assert float((found.knowledge - drawn.var(0)).abs().max()) < 0.01


def test_log_probability_and_draws():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]]).double()
    predictive = CategoricalPredictive(p, torch.zeros_like(p))
    torch.testing.assert_close(predictive.log_prob(torch.tensor([0, 2])), p[[0, 1], [0, 2]].log())
    draws = predictive.sample(generator(0), 30_000)
    assert draws.shape == (30_000, 2)
    share = torch.nn.functional.one_hot(draws, 3).double().mean(0)
    torch.testing.assert_close(share, p, rtol=0, atol=0.01)
    assert torch.equal(draws, predictive.sample(generator(0), 30_000))
    assert isinstance(predictive, Distribution)
    assert predictive.mean is predictive.probabilities


def test_labels_that_are_no_classes_are_refused():
    p = torch.full((2, 2), 0.5).double()
    predictive = CategoricalPredictive(p, torch.zeros_like(p))
    with pytest.raises(InputError, match="row 1 must be a class from 0 to 1, found 2"):
        predictive.log_prob(torch.tensor([0, 2]))
    with pytest.raises(InputError, match="expected 2, one a row, found 3"):
        predictive.log_prob(torch.tensor([0, 1, 1]))


def every_rest_summed(mean, covariance):
    """The probit form with the rest of each class written out: classes cubed a row."""
    same = torch.eye(mean.shape[1], dtype=torch.bool)
    rest = mean[:, None, :].masked_fill(same, -torch.inf)
    share = rest.softmax(2)
    direction = same.double() - share
    variance = ((direction @ covariance) * direction).sum(2).clamp_min(0)
    own = covariance.diagonal(dim1=1, dim2=2)
    trace = (share @ own[:, :, None]).squeeze(2) - ((share @ covariance) * share).sum(2)
    trace = trace.clamp_min(0)
    eighth = torch.pi / 8
    centre = mean - rest.logsumexp(2) - trace / (1 + eighth * trace).sqrt() / 2
    return nn.functional.logsigmoid(centre / (1 + eighth * variance).sqrt()).softmax(1)


@pytest.mark.parametrize("classes", [2, 3, 12, 50])
@pytest.mark.parametrize("spread", [0.1, 10.0, 1000.0])
def test_the_rest_of_all_classes_at_once_is_that_of_each(classes, spread):
    draw = generator(0, classes)
    mean = spread * torch.randn(20, classes, generator=draw, dtype=torch.float64)
    root = torch.randn(20, classes, classes, generator=draw, dtype=torch.float64)
    found, wanted = probit(mean, root @ root.mT), every_rest_summed(mean, root @ root.mT)
    torch.testing.assert_close(found.probabilities, wanted, rtol=1e-12, atol=1e-300)


def test_one_class_is_certain():
    found = probit(torch.tensor([[3.0]]).double(), torch.tensor([[[2.0]]]).double())
    assert found.probabilities.tolist() == [[1.0]]
    assert found.knowledge.tolist() == found.noise.tolist() == [[0.0]]
