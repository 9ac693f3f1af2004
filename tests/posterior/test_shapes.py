"""Predictions have the shape of what the model puts out."""

import pytest
import torch
from torch import nn

from counterpoint.errors import InputError
from counterpoint.goals import Bernoulli, Normal, Poisson
from counterpoint.posterior import laplace
from counterpoint.seeding import generator

SHAPES = [(), (1,), (2,), (3, 3), (1, 2, 2)]
LIKELIHOODS = {"normal": Normal(), "bernoulli": Bernoulli(), "poisson": Poisson()}


class Shaped(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape, self.line = shape, nn.Linear(2, max(1, torch.Size(shape).numel()))

    def forward(self, x):
        return self.line(x).view(len(x), *self.shape)


def made(shape, likelihood, prior=1.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Shaped(shape).double().eval()
    x = torch.randn(7, 2, generator=generator(2), dtype=torch.float64)
    y = (x.sum(1) > 0).double().view(7, *[1] * len(shape)).expand(7, *shape).contiguous()
    return laplace(model, likelihood, [(x, y)], prior=prior), x, y


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("link", ["closed", "outputs", "montecarlo"])
def test_the_shape_of_the_model_comes_back(shape, name, link):
    posterior, x, y = made(shape, LIKELIHOODS[name])
    found = posterior.predict(x, link=link, samples=8, generator=generator(0))
    for value in (found.mean, found.noise, found.knowledge, found.log_prob(y)):
        assert value.shape == (7, *shape)
    assert (found.mean - y).shape == y.shape
    assert found.sample(generator(0), 3).shape == (3, 7, *shape)


@pytest.mark.parametrize("link", ["closed", "outputs"])
def test_the_numbers_are_those_of_a_flat_output(link):
    flat = made((4,), Normal())[0]
    square, x, _ = made((2, 2), Normal())
    one, two = (each.predict(x, link=link, generator=generator(0)) for each in (flat, square))
    torch.testing.assert_close(one.mean, two.mean.flatten(1))
    torch.testing.assert_close(one.knowledge, two.knowledge.flatten(1))


def test_of_one_row_the_last_axis_may_be_missing():
    posterior, x, y = made((1,), Normal())
    found = posterior.predict(x[:1])
    assert torch.equal(found.log_prob(y[0]), found.log_prob(y[:1]))


def test_targets_are_not_stretched():
    posterior, x, y = made((), Normal())
    found = posterior.predict(x)
    assert torch.equal(found.log_prob(y[:, None]), found.log_prob(y))
    with pytest.raises(InputError, match=r"expected shape \(7,\), found \(7, 7\)"):
        found.log_prob(y.expand(7, 7))
