"""The two sides of ratings: closed forms against sums written out, and draws."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.estimators._factors import Factorisation, Ratings, Tastes, learnt, sweeps
from counterpoint.estimators._looks import components, effects, likeness
from counterpoint.posterior import LastLayer, Statistics

DOUBLE = torch.float64


def side(rows, width, seed, *, sure=False):
    """A side whose rows have any means and any covariances, or none."""
    draws = torch.Generator().manual_seed(seed)
    mean = torch.randn(rows, width, generator=draws, dtype=DOUBLE)
    root = 0.4 * torch.randn(rows, width, width, generator=draws, dtype=DOUBLE)
    covariance = 0 * root if sure else root @ root.mT
    wide = torch.randn(width, width, generator=draws, dtype=DOUBLE)
    centre = 0.3 * torch.randn(width, generator=draws, dtype=DOUBLE)
    return Tastes(mean, covariance, centre, wide @ wide.T + torch.eye(width, dtype=DOUBLE))


def ratings(users, items, count, seed):
    draws = np.random.default_rng(seed)
    return Ratings(
        draws.integers(users, size=count), draws.integers(items, size=count),
        draws.normal(size=count), users, items,
    )  # fmt: skip


def test_a_row_is_the_regression_on_items_that_are_known():
    # with items that are sure and a prior of one precision, a user's row is a Bayesian linear
    # regression with known noise, which the last layer's posterior is
    items = side(6, 3, 1, sure=True)
    own = Tastes.unknown(2, torch.full((3,), 0.5, dtype=DOUBLE))
    seen = ratings(2, 6, 30, 2)
    found, _ = learnt(seen, own, items, noise=0.7)
    for user in range(2):
        rows = seen.at(seen.user == user)
        x = items.mean[rows.item].clone()
        x[:, 0] = 1.0
        y = torch.from_numpy(rows.value) - items.mean[rows.item, 0]
        # the last layer has a constant of its own in the last place
        turned = torch.cat([x[:, 1:], x[:, :1]], 1)
        exact = LastLayer.fit(Statistics.of(turned[:, :-1], y[:, None]), prior=2.0, noise=0.7)
        order = torch.tensor([2, 0, 1])
        torch.testing.assert_close(found.mean[user], exact.mean[order, 0])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**16))
def test_rows_and_error_are_the_sums_written_out(width, seed):
    own, other = side(3, width, seed), side(4, width, seed + 1)
    seen = ratings(3, 4, 12, seed)
    found, error = learnt(seen, own, other, noise=0.6)
    wanted = 0.0
    for user in range(3):
        precision = torch.linalg.inv(own.spread)
        natural = precision @ own.centre
        moments = []
        for item, value in zip(
            seen.item[seen.user == user], seen.value[seen.user == user], strict=True
        ):
            full = other.covariance[item] + torch.outer(other.mean[item], other.mean[item])
            x, square = other.mean[item].clone(), full.clone()
            x[0] = square[0, 0] = 1.0
            square[0, 1:] = square[1:, 0] = x[1:]
            crossed = full[0].clone()
            crossed[0] = other.mean[item, 0]
            precision = precision + square / 0.6
            natural = natural + (value * x - crossed) / 0.6
            moments.append((value, x, square, crossed, other.mean[item, 0], full[0, 0]))
        covariance = torch.linalg.inv(precision)
        mean = covariance @ natural
        torch.testing.assert_close(found.mean[user], mean)
        torch.testing.assert_close(found.covariance[user], covariance)
        second = covariance + torch.outer(mean, mean)
        for value, x, square, crossed, effect, effect_square in moments:
            wanted += value**2 - 2 * value * effect + effect_square
            wanted += -2 * mean @ (value * x - crossed) + (square * second).sum()
    assert error == pytest.approx(float(wanted))


def test_a_prediction_is_the_mean_and_variance_of_draws():
    users, items = side(1, 3, 5), side(1, 3, 6)
    mean, variance = Factorisation(users, items, 0.1).predict(np.array([0]), np.array([0]))
    draws = torch.Generator().manual_seed(0)
    count = 400_000
    left, right = (
        one.mean + torch.randn(count, 3, generator=draws, dtype=DOUBLE) @ _root(one).T
        for one in (users, items)
    )
    drawn = left[:, 0] + right[:, 0] + (left[:, 1:] * right[:, 1:]).sum(1)
    assert mean[0] == pytest.approx(float(drawn.mean()), abs=0.02)
    assert variance[0] == pytest.approx(float(drawn.var()), rel=0.02)


def _root(one):
    return torch.linalg.cholesky(one.covariance[0])


def test_one_who_is_not_known_has_the_prior():
    users, items = side(2, 3, 7), side(2, 3, 8)
    found = Factorisation(users.widened(3), items, 0.1)
    known = found.predict(np.array([2]), np.array([1]))
    unknown = found.predict(np.array([-1]), np.array([1]))
    assert known == unknown


def test_priors_and_noise_are_found():
    draws = np.random.default_rng(0)
    people, things = 300, 200
    p, q = draws.normal(size=(people, 2)) * [1.0, 0.5], draws.normal(size=(things, 2))
    a, b = 0.5 * draws.normal(size=people), 0.4 * draws.normal(size=things)
    user, item = draws.integers(people, size=20_000), draws.integers(things, size=20_000)
    clean = a[user] + b[item] + (p[user] * q[item]).sum(1)
    value = clean + 0.5 * draws.normal(size=20_000)
    seen = Ratings(user, item, value, people, things)
    found = next(
        factors
        for turn, factors in enumerate(sweeps(seen, 3, torch.Generator().manual_seed(0)))
        if turn == 24
    )
    assert found.noise**0.5 == pytest.approx(0.5, rel=0.03)
    assert float(found.items.spread[0, 0]) ** 0.5 == pytest.approx(0.4, rel=0.25)
    mean, variance = found.predict(user, item)
    apart = (clean - mean) / np.sqrt(variance)
    assert 0.8 < apart.std() < 1.4  # the posterior is about as unsure as it is wrong


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16))
def test_what_is_looked_at_does_not_depend_on_how_factors_are_turned(seed):
    own, other = side(5, 4, seed), side(5, 4, seed + 1)
    draws = torch.Generator().manual_seed(seed)
    turn = torch.randn(3, 3, generator=draws, dtype=DOUBLE) + 2 * torch.eye(3, dtype=DOUBLE)
    back = torch.linalg.inv(turn).T
    turned, there = _turned(own, turn), _turned(other, back)
    pairs = (np.arange(5), np.arange(5))
    for one, two in zip(
        Factorisation(other, own, 0.1).predict(*pairs),
        Factorisation(there, turned, 0.1).predict(*pairs),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-8)
    for one, two in zip(effects(own, other), effects(turned, there), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(likeness(own, other, 0), likeness(turned, there, 0), atol=1e-6)
    found, shares = components(own, other)
    again, shares_again = components(turned, there)
    np.testing.assert_allclose(shares, shares_again, atol=1e-6)
    np.testing.assert_allclose(np.abs(found), np.abs(again), atol=1e-4)
    assert (found[np.abs(found).argmax(0), [0, 1]] > 0).all()


def _turned(one, turn):
    whole = torch.block_diag(torch.ones(1, 1, dtype=DOUBLE), turn)
    return Tastes(
        one.mean @ whole.T, whole @ one.covariance @ whole.T, whole @ one.centre,
        whole @ one.spread @ whole.T,
    )  # fmt: skip
