"""Predictions for every token and every pixel, in the shape of what the model puts out."""

import pytest
import torch

from counterpoint.goals import Categorical
from counterpoint.posterior import laplace
from counterpoint.posterior.predictive._categorical import probit
from counterpoint.seeding import generator
from curvature.positions import CausalBlock, images, pixels, seeded_model, tokens

close = torch.testing.assert_close
CASES = {
    "tokens": (CausalBlock, tokens, Categorical(ignore_index=-100), 2),
    "images": (images, pixels, Categorical(), 1),
}


@pytest.fixture(params=CASES.values(), ids=CASES, scope="module")
def case(request):
    make, data, likelihood, axis = request.param
    x, y = data()
    return laplace(seeded_model(make), likelihood, [(x, y)], prior=1.0), x, y, axis


def test_each_position_has_the_covariance_of_the_whole_output(case):
    posterior, x, _, axis = case
    local = posterior.outputs(x)
    mean = local.outputs[""]
    places = torch.arange(mean[0].numel()).view(mean.shape[1:]).movedim(axis - 1, -1)
    found = posterior.predict(x)
    probabilities = found.probabilities.movedim(axis, -1).flatten(1, -2)
    for at, block in enumerate(places.flatten(0, -2)):
        inside = local.covariance[:, block[:, None], block].double()
        one = probit(mean.flatten(1)[:, block].double(), inside)
        close(probabilities[:, at], one.probabilities)


@pytest.mark.parametrize("link", ["closed", "outputs", "montecarlo"])
def test_everything_has_the_shape_of_the_output_or_of_the_labels(case, link):
    posterior, x, y, axis = case
    found = posterior.predict(x, link=link, samples=6, generator=generator(0))
    mean = posterior.outputs(x).outputs[""]
    for value in (found.mean, found.noise, found.knowledge):
        assert value.shape == mean.shape
    close(found.probabilities.sum(axis), torch.ones(y.shape).double())
    assert found.entropy.shape == found.log_prob(y.clamp_min(0)).shape == y.shape
    assert found.sample(generator(1), 3).shape == (3, *y.shape)


def test_many_draws_are_at_the_probabilities(case):
    posterior, x, _, axis = case
    found = posterior.predict(x[:1])
    drawn = found.sample(generator(2), 20_000)
    share = torch.nn.functional.one_hot(drawn, found.probabilities.shape[axis]).double().mean(0)
    assert (share.movedim(-1, axis) - found.probabilities).abs().max() < 0.02


def test_entropy_is_between_none_and_that_of_equal_classes(case):
    posterior, x, _, axis = case
    entropy = posterior.predict(x).entropy
    assert (entropy > 0).all()
    assert (entropy <= torch.tensor(posterior.outputs(x).outputs[""].shape[axis]).log()).all()
