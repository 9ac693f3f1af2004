"""Noise that depends on the row: learnt from left-out rows, kept, updated, and honest."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import t as student

from counterpoint.posterior import LastLayer, Predictive, Statistics
from counterpoint.recipe import Network, Posterior
from counterpoint.table import TableModel, fit_table, update_table
from counterpoint.table.model._network import compute_features
from counterpoint.table.uncertainty._row_noise import (
    RowNoise,
    _Search,
    _Way,
    learn_row_noise,
)
from counterpoint.table.uncertainty._rows import LeftOut, fresh_noise
from counterpoint.table.update._rows import prepare_rows, read_rows
from tables import prepare_frame, quick


def left_out(rows=2000, seed=0, *, bend=0.0, number=0.0, degrees=math.inf, known=0.05):
    """Residuals of noise exp(-1 + bend * mean + number * x), beside a known variance."""
    draw = np.random.default_rng(seed)
    mean, numbers = draw.normal(size=rows), draw.normal(size=(rows, 3))
    noise = np.exp(-1 + bend * mean + number * numbers[:, 0])
    if math.isinf(degrees):
        unit = draw.normal(size=rows)
    else:
        unit = draw.standard_t(degrees, rows) * math.sqrt((degrees - 2) / degrees)
    residual = np.sqrt(noise + known) * unit
    parts = (residual, np.full(rows, known), np.zeros(rows), mean, numbers, np.ones(rows))
    return LeftOut(*map(torch.from_numpy, parts), torch.arange(rows))


def test_it_finds_what_noise_depends_on():
    rows = left_out(bend=0.8, number=-0.5)
    noise, found = learn_row_noise(rows)
    truth = 0.8 * rows.mean - 0.5 * rows.numbers[:, 0] - 1
    near = (rows.mean.abs() < 1.5) & (rows.numbers.abs() < 1.5).all(1)
    log = (noise * found.ratio(rows.mean, rows.numbers)[:, 0]).log()
    assert (log - truth)[near].abs().mean() < 0.15
    # the logarithms of the ratios average zero over the rows
    assert float(found.ratio(rows.mean, rows.numbers).log().mean()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_one_normal_noise_stays_one(seed):
    """Where noise is the same everywhere nothing much is claimed: at most a slight bend."""
    found = learn_row_noise(left_out(500, seed))
    if found is not None:
        rows = left_out(500, 100 + seed)
        assert found[1].degrees >= 6
        assert float(found[1].ratio(rows.mean, rows.numbers).log().std()) < 0.2


def test_heavy_tails_are_a_students():
    _, found = learn_row_noise(left_out(degrees=4.0))
    assert 3 <= found.degrees <= 6
    assert float(found.slopes.abs().max() if len(found.slopes) else 0) < 0.3


def test_few_rows_tell_nothing():
    assert learn_row_noise(None) is None
    assert learn_row_noise(left_out(39, bend=2.0)) is None


@pytest.mark.parametrize("degrees", [math.inf, 5.0])
def test_scoring_ends_where_the_penalised_likelihood_is_greatest(degrees):
    rows = left_out(300, bend=0.7)
    search, way = _Search.of(rows), _Way(2, 3.0, degrees)
    z = search._design(2)
    found = search._scored(way, z, torch.ones(300, dtype=torch.bool))

    def loss(at):
        variance = (z @ torch.from_numpy(at)).exp() + rows.known
        part = Predictive(0 * variance[:, None], variance[:, None], 0 * variance[:, None])
        part = replace(part, degrees=degrees)
        density = part.log_prob(rows.residual[:, None]).sum()
        return float(1.5 * (at[:-1] ** 2).sum() - density)

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9})
    assert loss(found.numpy()) <= best.fun + 1e-6
    np.testing.assert_allclose(found.numpy(), best.x, atol=2e-3)


def test_what_members_disagree_about_is_taken_off():
    rows = left_out(bend=0.8)
    less = replace(rows, between=torch.full_like(rows.between, 0.1))
    (noise, found), (smaller, same) = learn_row_noise(rows), learn_row_noise(less)
    assert torch.equal(found.slopes, same.slopes)
    usual = float(found.ratio(rows.mean, rows.numbers).mean())
    assert (noise - smaller) * usual == pytest.approx(0.1)


def test_a_far_row_has_no_spike_and_no_chasm():
    _, found = learn_row_noise(left_out(bend=2.5))
    far = torch.tensor([-1e6, -50.0, 50.0, 1e6]).double()
    ratio = found.ratio(far, torch.zeros(4, 3))[:, 0]
    assert ratio[0] == ratio[1]
    assert ratio[2] == ratio[3]
    assert bool((ratio >= 1 / 401).all() & (ratio <= 401).all())


def test_new_rows_count_in_units_of_their_own_noise():
    draw = torch.Generator().manual_seed(0)
    ratio = torch.linspace(-2, 2, 4000, dtype=torch.float64).exp()[:, None]
    values = (0.3 * ratio).sqrt() * torch.randn(4000, 1, generator=draw, dtype=torch.float64)
    part = Predictive(0 * ratio, 0.7 * ratio, 0 * ratio)  # expected at 0.7, found at 0.3
    assert fresh_noise(values, [part], torch.ones(4000).double(), 0.7) == pytest.approx(
        0.3, rel=0.1
    )


def test_students_tails_are_scipys():
    mean, noise = torch.tensor([[1.0], [2.0]]).double(), torch.tensor([[0.5], [2.0]]).double()
    found = Predictive(mean, noise, 0.1 * noise, degrees=5.0)
    scale = np.sqrt(found.variance.numpy() * 3 / 5)
    expected = student(5, mean.numpy(), scale)
    np.testing.assert_allclose(found.quantile(0.95), expected.ppf(0.95))
    np.testing.assert_allclose(found.cdf(mean + 1), expected.cdf(mean.numpy() + 1))
    np.testing.assert_allclose(found.log_prob(mean + 1), expected.logpdf(mean.numpy() + 1))
    drawn = found.sample(torch.Generator().manual_seed(0), 100_000)
    np.testing.assert_allclose(drawn.var(0), found.variance, rtol=0.05)


def scattered(rows=500, seed=0):
    """y = 3 x + 2 z, and noise that grows with x, twentyfold."""
    draw = np.random.default_rng(seed)
    x, z = draw.uniform(0, 10, rows), draw.normal(size=rows)
    y = 3 * x + 2 * z + (0.3 + 0.6 * x) * draw.normal(size=rows)
    return pd.DataFrame({"x": x, "z": z, "y": y})


def told(kind="last-layer", members=2, epochs=20):
    recipe = quick(target=("y",), split="none")
    return replace(
        recipe,
        network=Network(members=members, width=32, bins=8),
        training=replace(recipe.training, epochs=epochs),
        posterior=Posterior(uncertainty=kind),
    )


@pytest.fixture(scope="module")
def fitted():
    return fit_table(scattered(), told())


def thirds(model, seed):
    """The share inside 90 % intervals, by thirds of x."""
    fresh = scattered(3000, seed)
    low, high = model.predict(fresh)["y"].interval(0.9)
    inside = (fresh.y >= low) & (fresh.y <= high)
    return [inside[part].mean() for part in np.array_split(np.argsort(fresh.x.to_numpy()), 3)]


def test_intervals_are_as_wide_as_the_noise_of_their_rows(fitted):
    assert all(0.82 < share < 0.97 for share in thirds(fitted, 100))
    noise = fitted.predict(pd.DataFrame({"x": [0.5, 9.5], "z": [0.0, 0.0]}))["y"].noise
    assert noise[1] > 4 * noise[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["last-layer", "ensemble", "laplace"])
def test_every_third_is_covered_over_seeds(kind):
    found = [
        thirds(fit_table(scattered(500, seed), told(kind, 4, 30), evaluate=False), 100 + seed)
        for seed in range(4)
    ]
    assert all(0.86 < share < 0.94 for share in np.mean(found, 0))


def test_heads_after_an_update_are_those_of_a_fit_to_all_rows_by_their_noise(fitted):
    updated = update_table(fitted, scattered(200, 1))
    old = prepare_frame(scattered(), fitted.recipe)
    new = prepare_rows(read_rows(fitted, scattered(200, 1)))
    for before, after in zip(fitted.members, updated.members, strict=True):
        noise = before.posterior.noises["y"]
        assert after.posterior.noises["y"] is noise
        lots = []
        for part in (old, new):
            places = torch.from_numpy(part.rows.train)
            inputs = {name: value[places] for name, value in part.inputs.items()}
            found = compute_features(before.network, inputs)
            weight = part.targets[0].weight[places]
            weight = weight / noise.anchored(found, inputs["numbers"])[:, 0]
            lots.append(Statistics.of(found, part.targets[0].values[places], weight))
        wanted = LastLayer.fit(lots[0] + lots[1], noise=after.posterior.noise["y"])
        layer = after.posterior.posteriors["y"]
        torch.testing.assert_close(layer.mean, wanted.mean, rtol=1e-6, atol=1e-9)


def test_what_new_rows_say_of_the_noise_is_of_all_rows(fitted):
    """Rows of the same noise leave it as it was; twice as loud ones raise it."""
    same = update_table(fitted, scattered(500, 1)).members[0].posterior.noise["y"]
    before = fitted.members[0].posterior.noise["y"]
    assert same == pytest.approx(before, rel=0.25)


@pytest.mark.parametrize("kind", ["last-layer", "ensemble", "laplace"])
def test_a_folder_keeps_it_and_an_earlier_one_has_none(kind, tmp_path):
    model = fit_table(scattered(300), told(kind, 2, 10), evaluate=False)
    assert "y" in model.members[0].posterior.noises
    model.save(tmp_path / "model")
    read = TableModel.load(tmp_path / "model")
    rows = scattered(20, 3)
    for part in ("mean", "std"):
        found, expected = (getattr(m.predict(rows)["y"], part) for m in (read, model))
        np.testing.assert_array_equal(found, expected)
    without = [
        replace(m, posterior=replace(m.posterior, noises={})) for m in model.members
    ]  # what earlier versions wrote
    replace(model, members=tuple(without)).save(tmp_path / "earlier")
    earlier = TableModel.load(tmp_path / "earlier").predict(rows)["y"]
    assert len(np.unique(earlier.noise.round(9))) == 1


def test_its_state_makes_the_trip():
    _, found = learn_row_noise(left_out(bend=0.8, degrees=5.0))
    again = RowNoise.from_state(found.state())
    for name, value in found.state().items():
        assert torch.equal(again.state()[name], value)
