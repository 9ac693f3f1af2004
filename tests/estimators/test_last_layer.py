"""What both estimators give: functions, densities, and what they refuse."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.exceptions import NotFittedError

from counterpoint.errors import InputError
from estimators.cases import cubic, linear, luna, plane

BOTH = pytest.mark.parametrize("make", [linear, luna])


@BOTH
def test_posterior_functions_have_the_closed_form_moments(make):
    x, y = plane()
    model = make().fit(x, y)
    found = model.sample_posterior(x[:6], 40_000, random_state=1)
    assert found.shape == (40_000, 6, 2)
    exact = model.predictive(x[:6])
    scale = exact.knowledge.sqrt().numpy()
    np.testing.assert_allclose((found.mean(0) - exact.mean.numpy()) / scale, 0, atol=0.025)
    np.testing.assert_allclose(found.var(0) / scale**2, 1, atol=0.04)
    joint = model.posterior_.covariance(model._features(x[:6])).numpy()
    for target, unit in enumerate(model._targets.scale_):
        covariance = np.cov(found[:, :, target], rowvar=False) / unit**2
        np.testing.assert_allclose(covariance, joint[target], atol=0.04 * joint[target].max())


@BOTH
def test_prior_functions_have_the_closed_form_moments(make):
    x, y = plane()
    model = make(prior=0.5, noise=0.1).fit(x, y)
    found = model.sample_prior(x[:4], 40_000, random_state=1)
    features = model._features(x[:4]).double().numpy()
    wide = np.concatenate([features, np.ones((4, 1))], 1)
    for target in range(2):
        unit, shift = model._targets.scale_[target], model._targets.mean_[target]
        exact = wide @ wide.T / 0.5 * unit**2
        drawn = found[:, :, target]
        np.testing.assert_allclose((drawn.mean(0) - shift) / np.sqrt(np.diag(exact)), 0, atol=0.025)
        np.testing.assert_allclose(np.cov(drawn, rowvar=False), exact, atol=0.04 * exact.max())


@BOTH
def test_functions_of_one_target_have_one_axis_less_and_come_again(make):
    x, y = cubic()
    model = make(epochs=2).fit(x, y)
    assert model.sample_prior(x, 3, random_state=0).shape == (3, 40)
    again = [model.sample_posterior(x, 3, random_state=0) for _ in range(2)]
    np.testing.assert_array_equal(*again)
    assert not np.array_equal(again[0], model.sample_posterior(x, 3, random_state=1))


@BOTH
def test_log_density_is_that_of_scipy(make):
    x, y = plane()
    model = make(epochs=5).fit(x, y)
    mean, std = model.predict(x, return_std=True)
    expected = norm.logpdf(y, mean, std).sum(1)
    np.testing.assert_allclose(model.log_prob(x, y), expected)
    single = make(epochs=5).fit(x, y[:, 0])
    mean, std = single.predict(x, return_std=True)
    np.testing.assert_allclose(single.log_prob(x, y[:, 0]), norm.logpdf(y[:, 0], mean, std))


@BOTH
def test_prior_and_noise_are_taken_as_given_in_standardised_units(make):
    x, y = plane()
    model = make(epochs=2, prior=2.0, noise=0.25).fit(x, y)
    assert model.posterior_.prior.tolist() == [2.0, 2.0]
    noise = model.predictive(x[:1]).noise.numpy()[0]
    np.testing.assert_allclose(noise, 0.25 * y.var(0))
    free = make(epochs=2).fit(x, y).posterior_
    assert (free.log_evidence > model.posterior_.log_evidence).all()


@BOTH
def test_numbers_of_numpy_are_settings_too(make):
    x, y = plane()
    plain = make(epochs=2, width=4)
    numpy = make().set_params(epochs=np.int64(2), width=np.int64(4))
    np.testing.assert_array_equal(plain.fit(x, y).predict(x), numpy.fit(x, y).predict(x))


@BOTH
def test_units_of_the_targets_do_not_matter(make):
    x, y = plane()
    plain, scaled = make(epochs=3).fit(x, y), make(epochs=3).fit(x, 1000 * y - 5)
    np.testing.assert_allclose(scaled.predict(x), 1000 * plain.predict(x) - 5, rtol=1e-4, atol=1)


@BOTH
@pytest.mark.parametrize(
    ("x", "y", "weight", "message"),
    [
        (np.ones((4, 1)), np.full(4, 3.5), None,
         "y must have two values or more to learn from, found 3.5 in every row"),
        (np.ones((4, 1)), np.stack([np.arange(4), np.zeros(4)], 1), None,
         "y: target 1 must have two values or more to learn from, found 0 in every row"),
        (np.ones((3, 1)), np.array([1.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0]),
         "y must have two values or more to learn from, found 1 in every row"),
        (np.ones((2, 1)), np.ones((2, 3)), None, "y: 3 targets need at least 3 rows, found 2"),
    ],
)  # fmt: skip
def test_targets_that_teach_nothing(make, x, y, weight, message):
    with pytest.raises(InputError) as caught:
        make().fit(x, y, weight)
    assert str(caught.value) == message


@BOTH
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior": -1.0}, "prior: must be positive and finite"),
        ({"activation": "rely"}, "did you mean 'relu'"),
        ({"epochs": 0}, "epochs: expected a whole number of at least 1, found 0"),
        ({"width": 0}, "width: expected a whole number of at least 1, found 0"),
        ({"depth": 0}, "depth: expected a whole number of at least 1, found 0"),
        ({"dropout": 1.0}, "dropout: expected a number from 0 to below 1, found 1.0"),
    ],
)
def test_settings_that_cannot_be_used(make, settings, message):
    x, y = cubic()
    with pytest.raises(InputError, match=message):
        make(**settings).fit(x, y)


@BOTH
def test_rows_of_weight_zero_are_as_if_they_were_not_there(make):
    x, y = cubic()
    more = np.concatenate([x, 100 * x]), np.concatenate([y, -y])
    weight = np.repeat([3.0, 0.0], len(x))
    alone = make(epochs=3).fit(x, y).predictive(x)
    beside = make(epochs=3).fit(*more, sample_weight=weight).predictive(x)
    assert np.array_equal(alone.mean, beside.mean)
    assert np.array_equal(alone.knowledge, beside.knowledge)


@BOTH
@pytest.mark.parametrize("draws", [0, -1])
def test_a_number_of_functions_is_whole(make, draws):
    x, y = cubic()
    model = make(epochs=1).fit(x, y)
    for sample in (model.sample_prior, model.sample_posterior):
        with pytest.raises(InputError, match="draws"):
            sample(x, draws)


@BOTH
def test_before_a_fit_nothing_is_predicted(make):
    with pytest.raises(NotFittedError):
        make().predict(np.zeros((2, 1)))
