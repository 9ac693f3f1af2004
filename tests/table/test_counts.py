"""Counts by name: Poisson and negative binomial, from the head to the folder."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from counterpoint.errors import InputError
from counterpoint.posterior import Predictive
from counterpoint.recipe import Network, Posterior
from counterpoint.table import TableModel, fit_table, update_table
from counterpoint.table.targets._count import CountPrediction
from counterpoint.table.uncertainty._count_layer import CountLayer
from tables import quick


def predicted(rate, dispersion=0.0, knowledge=0.0):
    parts = (np.log(rate), dispersion, knowledge)
    return CountPrediction(Predictive(*(torch.tensor([[part]]).double() for part in parts)))


@pytest.mark.parametrize("dispersion", [0.0, 0.5])
def test_a_known_rate_is_scipys(dispersion):
    found = predicted(4.0, dispersion)
    peer = stats.poisson(4.0)
    if dispersion:
        peer = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * 4.0))
    assert (found.mean[0], found.std[0]) == pytest.approx((peer.mean(), peer.std()))
    low, high = found.interval(0.9)
    assert (low[0], high[0]) == peer.interval(0.9)
    counts = torch.arange(20.0).double()
    every = [float(found.log_prob(count[None])) for count in counts]
    np.testing.assert_allclose(every, peer.logpmf(counts.numpy()), rtol=1e-9)


@pytest.mark.parametrize("dispersion", [0.0, 0.5])
def test_a_rate_not_quite_known_has_probabilities_that_add_to_one(dispersion):
    found = predicted(4.0, dispersion, 0.3)
    counts = torch.arange(600.0).double()
    chance = np.array([float(found.log_prob(count[None]).exp()) for count in counts])
    assert chance.sum() == pytest.approx(1.0, abs=1e-6)
    assert chance @ counts.numpy() == pytest.approx(found.mean[0], rel=1e-5)
    assert found.mean[0] == pytest.approx(4.0 * np.exp(0.15), rel=1e-6)  # of a lognormal
    low, high = found.interval(0.9)
    cumulative = chance.cumsum()
    assert cumulative[int(high[0])] >= 0.95 > cumulative[int(high[0]) - 1]
    assert cumulative[int(low[0])] >= 0.05
    # uniform between the probabilities of fewer and of at most so many
    pit = float(found.pit(torch.tensor([3.0]).double()))
    assert cumulative[2] <= pit <= cumulative[3]


def test_the_layer_is_a_generalised_linear_model():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(3000, 2, generator=draw, dtype=torch.float64)
    y = torch.poisson((x @ torch.tensor([0.5, -0.3]).double() + 1).exp(), generator=draw)
    for dispersion in (0.0, 0.4):
        layer = CountLayer.fit(
            x, y / 3, torch.ones(3000), prior=0.7, dispersion=dispersion, scale=3.0
        )
        # at the maximum the slope is zero, and the information is the Fisher information
        whole = torch.cat([x, torch.ones(3000, 1).double()], 1)
        rate = 3 * (whole @ layer.mean[:, 0]).exp()
        spread = 1 + dispersion * rate
        slope = whole.T @ ((rate - y) / spread) + 0.7 * layer.mean[:, 0]
        assert float(slope.abs().max()) < 1e-3
        wanted = (whole * (rate / spread)[:, None]).T @ whole
        torch.testing.assert_close(layer.information, wanted, rtol=1e-4, atol=1e-6)
        covariance = torch.linalg.inv(wanted + 0.7 * torch.eye(3).double())
        found = layer.predict(x[:5])
        knowledge = ((whole[:5] @ covariance) * whole[:5]).sum(1)
        torch.testing.assert_close(found.knowledge[:, 0], knowledge, rtol=1e-4, atol=0)


def test_two_lots_are_nearly_one():
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(4000, 2, generator=draw, dtype=torch.float64)
    y = torch.poisson((x @ torch.tensor([0.5, -0.3]).double() + 1).exp(), generator=draw)
    told = {"prior": 0.7, "dispersion": 0.0, "scale": 1.0}
    both = CountLayer.fit(x, y, torch.ones(4000), **told)
    first = CountLayer.fit(x[:2000], y[:2000], torch.ones(2000), **told)
    then = CountLayer.fit(x[2000:], y[2000:], torch.ones(2000), before=first, **told)
    torch.testing.assert_close(then.mean, both.mean, rtol=0, atol=3e-3)
    assert then.cost(both) < 0.1
    forgotten = CountLayer.fit(x[2000:], y[2000:], torch.ones(2000), before=first, keep=0.0, **told)
    alone = CountLayer.fit(x[2000:], y[2000:], torch.ones(2000), **told)
    torch.testing.assert_close(forgotten.mean, alone.mean, rtol=0, atol=1e-5)


def counts(rows=400, seed=0, dispersion=0.0):
    """Rates from 0.6 to 50."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(-2, 2, rows)
    rate = np.exp(1.1 * x + 1.7)
    if dispersion:
        rate = rate * draw.gamma(1 / dispersion, dispersion, rows)
    return pd.DataFrame({"x": x, "k": draw.choice(["a", "b"], rows), "y": draw.poisson(rate)})


def told(way, **posterior):
    recipe = quick(target=("y",), distribution=(way,))
    return replace(
        recipe,
        network=Network(members=2, width=32, bins=8),
        training=replace(recipe.training, epochs=20),
        posterior=Posterior(**posterior),
    )


@pytest.fixture(scope="module", params=["poisson", "negative-binomial"])
def fitted(request):
    dispersion = 0.0 if request.param == "poisson" else 0.5
    return dispersion, fit_table(counts(dispersion=dispersion), told(request.param))


def test_intervals_of_counts_hold_and_are_counts(fitted):
    dispersion, model = fitted
    fresh = counts(3000, 9, dispersion)
    found = model.predict(fresh)["y"]
    low, high = found.interval(0.9)
    assert (low >= 0).all()
    assert (low % 1 == 0).all()
    assert (high % 1 == 0).all()
    inside = (fresh.y >= low) & (fresh.y <= high)
    for part in np.array_split(np.argsort(fresh.x.to_numpy()), 3):
        assert 0.86 < inside[part].mean() < 0.99  # of whole numbers at least the level
    assert found.mean.mean() == pytest.approx(fresh.y.mean(), rel=0.1)
    if dispersion:
        assert found.dispersion == pytest.approx(0.5, rel=0.4)
    else:
        assert found.dispersion == 0.0
    pit = found.pit(torch.from_numpy(fresh.y.to_numpy(float))).numpy()
    assert stats.kstest(pit, "uniform").statistic < 0.06
    best = model.findings.targets[0]
    assert best.kind == "count"
    assert best.metrics["log likelihood"] > best.baseline["log likelihood"]
    assert "is predicted as a count" in model.findings.notes[0]


def test_it_is_kept_and_learns_on(fitted, tmp_path):
    dispersion, model = fitted
    model.save(tmp_path / "model")
    read = TableModel.load(tmp_path / "model")
    rows = counts(30, 4, dispersion)
    np.testing.assert_array_equal(read.predict(rows)["y"].mean, model.predict(rows)["y"].mean)
    louder = counts(400, 5, dispersion)
    louder["y"] *= 2
    after = update_table(read, louder)
    ratio = after.predict(rows)["y"].mean / model.predict(rows)["y"].mean
    assert 1.2 < np.median(ratio) < 1.8
    told_of = after.findings.updates[-1].targets[0]
    assert told_of.source == "Gaussian"
    assert told_of.new["log likelihood"][1] > told_of.new["log likelihood"][0]


def test_what_is_no_count_is_refused():
    with pytest.raises(InputError, match="a poisson number is a whole number of at least 0"):
        fit_table(counts().assign(y=lambda frame: frame.y + 0.5), told("poisson"))
    with pytest.raises(InputError, match="needs uncertainty last-layer or luna, not ensemble"):
        fit_table(counts(), told("poisson", uncertainty="ensemble"))
