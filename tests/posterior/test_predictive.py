"""The Gaussian predictive distribution against torch.distributions."""

import pytest
import torch
from torch.distributions import Normal

from counterpoint.errors import InputError
from counterpoint.posterior import Distribution, LastLayer, Predictive, Statistics
from counterpoint.seeding import generator


@pytest.fixture
def predictive():
    source = generator(0)
    mean, noise, knowledge = torch.rand(3, 6, 2, generator=source, dtype=torch.float64)
    return Predictive(mean, noise + 0.1, knowledge)


@pytest.fixture
def normal(predictive):
    return Normal(predictive.mean, (predictive.noise + predictive.knowledge).sqrt())


def test_density_distribution_and_quantiles(predictive, normal):
    target = torch.linspace(-2, 2, 12).view(6, 2).double()
    torch.testing.assert_close(predictive.log_prob(target), normal.log_prob(target))
    torch.testing.assert_close(predictive.cdf(target), normal.cdf(target))
    for level in (0.01, 0.5, 0.9):
        wanted = normal.icdf(torch.tensor(level).double())
        torch.testing.assert_close(predictive.quantile(level), wanted, rtol=1e-6, atol=1e-6)


def test_an_interval_holds_its_level(predictive):
    lower, upper = predictive.interval(0.9)
    inside = predictive.cdf(upper) - predictive.cdf(lower)
    torch.testing.assert_close(inside, torch.full((6, 2), 0.9).double())
    torch.testing.assert_close(lower + upper, 2 * predictive.mean)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, float("nan")])
def test_levels_outside_0_to_1_are_refused(predictive, level):
    with pytest.raises(InputError, match="level"):
        predictive.quantile(level)


def test_draws_have_the_moments_and_the_generators_bits(predictive):
    draws = predictive.sample(generator(1), 50_000)
    assert draws.shape == (50_000, 6, 2)
    assert torch.equal(draws, predictive.sample(generator(1), 50_000))
    torch.testing.assert_close(draws.mean(0), predictive.mean, rtol=0, atol=0.03)
    torch.testing.assert_close(draws.var(0), predictive.variance, rtol=0.05, atol=0)


def test_global_randomness_is_untouched_by_a_generator(predictive):
    before = torch.get_rng_state()
    predictive.sample(generator(1))
    assert torch.equal(before, torch.get_rng_state())


def test_joint_draws_have_the_joint_covariance():
    x = torch.linspace(-1, 1, 8)[:, None]
    layer = LastLayer.fit(Statistics.of(x, x + 0.1), prior=1.0, noise=0.05)
    predictive = layer.predict(x, joint=True)
    draws = predictive.sample(generator(2), 60_000)[:, :, 0]
    wanted = predictive.covariance[0] + 0.05 * torch.eye(8)
    torch.testing.assert_close(draws.T.cov(), wanted, rtol=0, atol=3e-3)


def test_other_units(predictive):
    scale, shift = torch.tensor([2.0, -3.0]), torch.tensor([1.0, 5.0])
    moved = predictive.rescaled(scale, shift)
    torch.testing.assert_close(moved.mean, predictive.mean * scale + shift)
    torch.testing.assert_close(moved.std, predictive.std * scale.abs())
    target = predictive.mean + 0.3
    torch.testing.assert_close(
        moved.log_prob(target * scale + shift), predictive.log_prob(target) - scale.abs().log()
    )


def test_other_units_of_a_joint_distribution():
    x = torch.linspace(-1, 1, 5)[:, None]
    layer = LastLayer.fit(Statistics.of(x, torch.cat([x, -x], 1)), prior=1.0, noise=0.1)
    plain = layer.predict(x, joint=True)
    moved = plain.rescaled(torch.tensor([2.0, 3.0]))
    torch.testing.assert_close(moved.covariance[1], 9 * plain.covariance[1])
    torch.testing.assert_close(plain.rescaled(2.0).covariance, 4 * plain.covariance)


def test_targets_of_another_shape_are_refused(predictive):
    with pytest.raises(InputError, match=r"expected shape \(6, 2\), found \(6,\)"):
        predictive.log_prob(torch.zeros(6))


def test_it_is_a_distribution(predictive):
    assert isinstance(predictive, Distribution)
