"""The neural linear model against closed forms and scikit-learn."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import BayesianRidge
from torch.distributions import MultivariateNormal

from counterpoint.errors import InputError
from counterpoint.posterior import LastLayer, Posterior, Statistics, TuningEnding
from counterpoint.seeding import generator


def rows(seed, count=60, features=5, targets=2, noise=0.5):
    source = generator(seed)
    x = torch.randn(count, features, generator=source, dtype=torch.float64)
    slope = torch.randn(features, targets, generator=source, dtype=torch.float64)
    error = torch.randn(count, targets, generator=source, dtype=torch.float64)
    return x, x @ slope + 0.3 + noise * error


def augmented(x):
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)


def fit(x, y, weight=None, **given):
    return LastLayer.fit(Statistics.of(x, y, weight), **given)


def test_the_posterior_is_the_closed_form():
    x, y = rows(0)
    prior, noise = torch.tensor([0.7, 3.0]), torch.tensor([0.2, 0.9])
    layer = fit(x, y, prior=prior, noise=noise)
    phi, new = augmented(x), rows(1, 7)[0]
    predictive = layer.predict(new, joint=True)
    for k in range(2):
        precision = phi.T @ phi / noise[k].double() + prior[k].double() * torch.eye(6)
        covariance = torch.linalg.inv(precision)
        mean = covariance @ phi.T @ y[:, k] / noise[k].double()
        joint = augmented(new) @ covariance @ augmented(new).T
        torch.testing.assert_close(layer.mean[:, k], mean)
        torch.testing.assert_close(predictive.mean[:, k], augmented(new) @ mean)
        torch.testing.assert_close(predictive.covariance[k], joint)
        torch.testing.assert_close(predictive.knowledge[:, k], joint.diagonal())
        torch.testing.assert_close(predictive.noise[:, k], noise[k].double().expand(7))


def test_log_evidence_is_the_marginal_likelihood_of_all_rows():
    x, y = rows(2)
    layer, phi = fit(x, y), augmented(x)
    for k in range(2):
        covariance = layer.noise[k] * torch.eye(60) + phi @ phi.T / layer.prior[k]
        marginal = MultivariateNormal(torch.zeros(60).double(), covariance)
        torch.testing.assert_close(
            layer.log_evidence[k], marginal.log_prob(y[:, k]), rtol=1e-11, atol=0
        )


@pytest.mark.parametrize(("count", "features"), [(50, 3), (200, 20), (60, 45)])
def test_scikit_learn_finds_the_same(count, features):
    x, y = rows(3, count, features, 1)
    layer = fit(x, y)
    ridge = BayesianRidge(
        fit_intercept=False,
        alpha_1=0,
        alpha_2=0,
        lambda_1=0,
        lambda_2=0,
        tol=1e-13,
        max_iter=100_000,
        compute_score=True,
    ).fit(augmented(x).numpy(), y[:, 0].numpy())
    mean, std = ridge.predict(augmented(x).numpy(), return_std=True)
    predictive = layer.predict(x)
    close = {"rtol": 1e-7}
    np.testing.assert_allclose(layer.prior, ridge.lambda_, **close)
    np.testing.assert_allclose(1 / layer.noise, ridge.alpha_, **close)
    np.testing.assert_allclose(layer.mean[:, 0], ridge.coef_, atol=1e-9, **close)
    np.testing.assert_allclose(layer.log_evidence, ridge.scores_[-1], **close)
    np.testing.assert_allclose(predictive.mean[:, 0], mean, atol=1e-9, **close)
    np.testing.assert_allclose(predictive.std[:, 0], std, **close)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), noise=st.floats(0.01, 10), features=st.integers(1, 12))
def test_the_optimum_is_macKays_fixed_point_and_a_maximum(seed, noise, features):
    x, y = rows(seed, features=features, noise=noise)
    layer = fit(x, y)
    residual = (y - augmented(x) @ layer.mean).square().sum(0)
    for k in range(2):
        if layer.status[k] is not TuningEnding.TUNED:
            continue
        size = layer.mean[:, k].square().sum()
        torch.testing.assert_close(layer.prior[k] * size, layer.effective[k], rtol=1e-6, atol=1e-8)
        found = residual[k] / (60 - layer.effective[k])
        torch.testing.assert_close(layer.noise[k], found, rtol=1e-8, atol=0)
    for prior, noise in [(1.1, 1.0), (0.9, 1.0), (1.0, 1.1), (1.0, 0.9), (1.05, 0.95)]:
        other = fit(x, y, prior=layer.prior * prior, noise=layer.noise * noise)
        assert bool((other.log_evidence <= layer.log_evidence + 1e-7).all())


def test_the_gradient_of_the_evidence_vanishes_at_the_optimum():
    x, y = rows(4)
    layer, step = fit(x, y), 1e-4
    for prior, noise in [(step, 0.0), (0.0, step)]:
        up = fit(x, y, prior=layer.prior * np.exp(prior), noise=layer.noise * np.exp(noise))
        down = fit(x, y, prior=layer.prior * np.exp(-prior), noise=layer.noise * np.exp(-noise))
        slope = (up.log_evidence - down.log_evidence) / (2 * step)
        assert bool((slope.abs() < 1e-6).all())


@pytest.mark.parametrize("given", ["prior", "noise"])
def test_one_of_the_two_may_be_given(given):
    x, y = rows(5)
    free = fit(x, y)
    half = fit(x, y, **{given: getattr(free, given)})
    torch.testing.assert_close(half.prior, free.prior, rtol=1e-7, atol=0)
    torch.testing.assert_close(half.noise, free.noise, rtol=1e-7, atol=0)
    assert bool((fit(x, y, **{given: 0.01}).log_evidence < free.log_evidence).all())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), cut=st.integers(1, 59), tune=st.booleans())
def test_first_one_part_then_the_other_is_both_at_once(seed, cut, tune):
    x, y = rows(seed)
    whole = fit(x, y)
    first = fit(x[:cut], y[:cut], prior=whole.prior, noise=whole.noise)
    both = first.update(Statistics.of(x[cut:], y[cut:]), tune=tune)
    torch.testing.assert_close(both.mean, whole.mean, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        both.predict(x).knowledge, whole.predict(x).knowledge, rtol=1e-10, atol=1e-10
    )
    torch.testing.assert_close(both.log_evidence, whole.log_evidence, rtol=1e-10, atol=0)


def test_the_posterior_of_the_first_part_is_the_prior_of_the_second():
    x, y = rows(6, targets=1)
    first = fit(x[:20], y[:20], prior=2.0, noise=0.3)
    both = first.update(Statistics.of(x[20:], y[20:]))
    precision = first.basis @ torch.diag(1 / first.variances[:, 0]) @ first.basis.T
    phi = augmented(x[20:])
    posterior = precision + phi.T @ phi / 0.3
    mean = torch.linalg.solve(posterior, precision @ first.mean + phi.T @ y[20:] / 0.3)
    torch.testing.assert_close(both.mean, mean, rtol=1e-10, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), cut=st.integers(1, 59))
def test_removed_rows_leave_no_trace(seed, cut):
    x, y = rows(seed)
    left = fit(x[cut:], y[cut:], prior=1.0, noise=0.2)
    removed = fit(x, y, prior=1.0, noise=0.2).remove(Statistics.of(x[:cut], y[:cut]))
    torch.testing.assert_close(removed.mean, left.mean, rtol=1e-9, atol=1e-9)


def test_rows_that_were_never_there_cannot_be_removed():
    x, y = rows(0)
    with pytest.raises(InputError, match="rows to remove"):
        fit(x, y).remove(Statistics.of(5 * x, y))
    with pytest.raises(InputError, match="at least one row"):
        fit(x, y).remove(Statistics.of(x, y))


def test_a_weight_is_a_repetition():
    x, y = rows(7)
    repeats = torch.arange(60) % 3
    a = fit(x, y, repeats.double())
    b = fit(x.repeat_interleave(repeats, 0), y.repeat_interleave(repeats, 0))
    for name in ("prior", "noise", "log_evidence", "mean"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-9)


def test_forgetting_weakens_what_was_learned():
    x, y = rows(8)
    layer = fit(x, y, prior=1.0, noise=0.25)
    nothing = Statistics.zeros(5, 2)
    half = layer.update(nothing, keep=0.5)
    assert bool((half.predict(x).knowledge > layer.predict(x).knowledge).all())
    torch.testing.assert_close(
        half.mean, fit(x, y, torch.full((60,), 0.5), prior=1.0, noise=0.25).mean
    )
    with pytest.raises(InputError, match="factor"):
        layer.update(nothing, keep=-1.0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(1e-6, 1e6))
def test_predictions_follow_the_targets_unit(seed, scale):
    x, y = rows(seed)
    plain, scaled = fit(x, y).predict(x), fit(x, scale * y).predict(x)
    torch.testing.assert_close(scaled.mean, scale * plain.mean, rtol=1e-7, atol=1e-7 * scale)
    torch.testing.assert_close(scaled.std, scale * plain.std, rtol=1e-7, atol=0)
    back = scaled.rescaled(1 / scale)
    torch.testing.assert_close(back.knowledge, plain.knowledge, rtol=1e-6, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_a_rotation_of_the_features_changes_nothing(seed):
    x, y = rows(seed)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=generator(seed)).double()).Q
    plain, turned = fit(x, y), fit(x @ turn, y)
    torch.testing.assert_close(turned.log_evidence, plain.log_evidence, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        turned.predict(x @ turn).std, plain.predict(x).std, rtol=1e-6, atol=1e-9
    )


def test_the_same_statistics_give_the_same_bits():
    x, y = rows(9)
    assert torch.equal(fit(x, y).mean, fit(x, y).mean)


def test_features_that_carry_nothing_are_capped():
    source = generator(4)
    x = torch.randn(200, 5, generator=source, dtype=torch.float64)
    y = torch.randn(200, 1, generator=source, dtype=torch.float64)
    phi = augmented(x)
    y = y - phi @ torch.linalg.lstsq(phi, y).solution  # no linear trace of the features at all
    layer = fit(x, y)
    assert layer.status == (TuningEnding.PRIOR_CAPPED,)
    assert "nothing" in layer.status[0].value
    assert bool(torch.isfinite(layer.prior).all())
    torch.testing.assert_close(layer.noise, y.square().mean(0), rtol=1e-6, atol=0)
    assert float(layer.predict(x).mean.abs().max()) < 1e-4


def test_a_prior_at_its_floor_is_named():
    x = torch.linspace(-1, 1, 50)[:, None]
    layer = fit(x, 1e9 * x, noise=1.0)
    assert layer.status == (TuningEnding.PRIOR_FLOORED,)
    torch.testing.assert_close(layer.predict(x).mean, 1e9 * x.double(), rtol=1e-6, atol=1)


def test_a_perfect_fit_stops_at_the_noise_floor():
    x, y = rows(0, noise=0.0)
    layer = fit(x, y)
    assert layer.status == (TuningEnding.NOISE_FLOORED,) * 2
    assert layer.converged == (True, True)
    torch.testing.assert_close(layer.noise, 1e-12 * y.square().mean(0), rtol=20, atol=0)
    torch.testing.assert_close(layer.predict(x).mean, y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_more_features_than_rows(count):
    x, y = rows(0, count, 8)
    layer = fit(x, y)
    predictive = layer.predict(x)
    for value in (layer.prior, layer.noise, layer.log_evidence, layer.mean, predictive.std):
        assert bool(torch.isfinite(value).all())
    assert bool((predictive.knowledge >= 0).all())
    assert bool((layer.predict(100 * x).knowledge >= predictive.knowledge).all())


@pytest.mark.parametrize("value", [0.0, 3.0, -1e9])
def test_a_constant_target(value):
    x = rows(0)[0]
    layer = fit(x, torch.full((60, 1), value))
    predictive = layer.predict(x)
    torch.testing.assert_close(
        predictive.mean, torch.full((60, 1), value).double(), rtol=1e-4, atol=1e-9
    )
    assert bool(torch.isfinite(predictive.std).all())
    assert layer.status[0] in {TuningEnding.NOISE_FLOORED, TuningEnding.PRIOR_CAPPED}


def test_twin_features_are_no_obstacle():
    x, y = rows(0)
    layer = fit(torch.cat([x, x], 1), y)
    assert layer.status == (TuningEnding.TUNED,) * 2
    single = fit(2**0.5 * x, y)  # two equal columns with halved weights act as one, longer
    torch.testing.assert_close(layer.log_evidence, single.log_evidence, rtol=1e-6, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    count=st.integers(1, 30),
    scale=st.sampled_from([1e-8, 1e-3, 1.0, 1e3, 1e8]),
)
def test_knowledge_is_never_negative(seed, count, scale):
    x, y = rows(seed, count)
    predictive = fit(scale * x, y).predict(scale * rows(seed + 1, 50)[0])
    assert bool((predictive.knowledge >= 0).all())
    assert bool(torch.isfinite(predictive.std).all())


def test_more_rows_never_know_less():
    x, y = rows(0)
    some, all_ = (fit(x[:n], y[:n], prior=1.0, noise=0.1).predict(x).knowledge for n in (30, 60))
    assert bool((all_ <= some + 1e-15).all())


def test_draws_of_the_weights_have_the_posterior_moments():
    x, y = rows(10, targets=1)
    layer = fit(x, y)
    draws = layer.weights(generator(0), 40_000)[:, :, 0]
    assert torch.equal(draws, layer.weights(generator(0), 40_000)[:, :, 0])
    outputs = draws @ augmented(x[:4]).T
    torch.testing.assert_close(outputs.T.cov(), layer.covariance(x[:4])[0], rtol=0.1, atol=2e-4)
    torch.testing.assert_close(draws.mean(0), layer.mean[:, 0], rtol=0, atol=2e-3)


def test_covariance_between_two_sets_of_rows():
    x, y = rows(11)
    layer = fit(x, y)
    joint = layer.covariance(x[:5])
    torch.testing.assert_close(layer.covariance(x[:2], x[2:5]), joint[:, :2, 2:])


def test_state_comes_back():
    x, y = rows(12)
    layer = fit(x, y)
    back = LastLayer.from_state(layer.state())
    assert torch.equal(back.mean, layer.mean)
    assert torch.equal(back.predict(x).std, layer.predict(x).std)
    assert back.status == layer.status
    assert back.update(Statistics.of(x, y)).statistics.count == 120
    assert isinstance(back, Posterior)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prior": None}, "must hold 'prior'"),
        ({"prior": torch.tensor([-1.0, 1.0])}, "prior: must be positive"),
        ({"noise": torch.ones(3)}, "noise: expected one number or 2"),
        ({"status": torch.tensor([99, 0])}, "codes must be from 0"),
        ({"status": torch.tensor([0])}, "expected 2 status codes"),
        ({"gram": None}, "'gram'"),
    ],
)
def test_a_made_up_state_is_refused(change, words):
    state = {**fit(*rows(0)).state(), **change}
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(InputError, match=words):
        LastLayer.from_state(state)


def test_statistics_without_rows_are_refused():
    for empty in (
        Statistics.zeros(3, 1),
        Statistics.of(torch.zeros(0, 3), torch.zeros(0, 1)),
        Statistics.of(torch.ones(4, 3), torch.ones(4, 1), torch.zeros(4)),
    ):
        with pytest.raises(InputError, match="at least one row of positive weight"):
            LastLayer.fit(empty)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_prior_and_noise_must_be_positive(value):
    for name in ("prior", "noise"):
        with pytest.raises(InputError, match=f"{name}: must be positive"):
            fit(*rows(0), **{name: value})


def test_prediction_refuses_other_features():
    layer = fit(*rows(0))
    with pytest.raises(InputError, match="expected 5 columns as in the fit, found 4"):
        layer.predict(torch.zeros(2, 4))
    with pytest.raises(InputError, match="row 1"):
        layer.predict(torch.tensor([[0.0] * 5, [torch.nan] * 5]))
    with pytest.raises(InputError, match="both must have"):
        layer.update(Statistics.zeros(5, 3))


def test_no_rows_to_predict_give_no_predictions():
    assert fit(*rows(0)).predict(torch.zeros(0, 5)).mean.shape == (0, 2)


def test_long_predictions_do_not_depend_on_blocks():
    x, y = rows(0)
    layer = fit(x, y)
    long = torch.randn(20_000, 5, generator=generator(1))
    torch.testing.assert_close(
        layer.predict(long).knowledge[9_000:9_010], layer.predict(long[9_000:9_010]).knowledge
    )


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(*rows(0, 3, 9)).predict(rows(1)[0][:, :1].expand(60, 9))
