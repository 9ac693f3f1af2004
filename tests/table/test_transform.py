"""Numbers that scatter normally on another scale than their own."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from counterpoint.errors import InputError
from counterpoint.posterior import Predictive
from counterpoint.recipe import Network, build
from counterpoint.table import TableModel, TableRegressor, fit_table, update_table
from counterpoint.table.columns import Schema
from counterpoint.table.targets._number import NumberHead, NumberPrediction
from counterpoint.table.targets._transform import Transform
from tables import prepare_frame, quick

POSITIVE = np.array([0.2, 1.0, 3.0, 8.0, 50.0])
WITH_ZERO = np.array([0.0, 1.0, 3.0, 8.0, 50.0])


def learnt(kind, power=0.5, values=POSITIVE):
    return Transform.learn(kind, power, values, np.ones(len(values)))


SCALES = [
    learnt("log"),
    learnt("log", values=WITH_ZERO),
    learnt("power"),
    learnt("power", 1 / 3, WITH_ZERO),
]


@pytest.mark.parametrize("scale", SCALES)
@settings(deadline=None, max_examples=30)
@given(y=st.floats(0.05, 1e6))
def test_back_and_forth_is_the_number_and_the_slope_a_derivative(scale, y):
    value = torch.tensor([y], dtype=torch.float64, requires_grad=True)
    u = scale.forward(value)
    assert float(scale.inverse(u.detach())) == pytest.approx(y, rel=1e-9)
    (slope,) = torch.autograd.grad(u.sum(), value)
    assert float(scale.log_slope(value.detach())) == pytest.approx(math.log(float(slope)), abs=1e-9)


def predicted(scale, mean, noise, knowledge):
    parts = (torch.tensor([[value]], dtype=torch.float64) for value in (mean, noise, knowledge))
    return NumberPrediction(Predictive(*parts), scale)


def test_moments_of_a_log_normal_are_the_closed_ones():
    mean, noise, knowledge = 1.2, 0.3, 0.1
    found = predicted(learnt("log"), mean, noise, knowledge)
    total = math.exp(mean + (noise + knowledge) / 2)
    known = total**2 * (math.exp(knowledge) - 1)  # of exp(f + noise / 2), f ~ N(mean, knowledge)
    assert float(found.mean[0]) == pytest.approx(total)
    assert float(found.knowledge[0] ** 2) == pytest.approx(known)
    variance = total**2 * (math.exp(noise + knowledge) - 1)
    assert float(found.std[0] ** 2) == pytest.approx(variance)
    assert float(found.mean[0]) > math.exp(mean)  # not the median


def test_moments_of_a_square_are_the_closed_ones():
    found = predicted(learnt("power"), 3.0, 0.05, 0.02)
    assert float(found.mean[0]) == pytest.approx(9.07)
    assert float(found.std[0] ** 2) == pytest.approx(4 * 9 * 0.07 + 2 * 0.07**2)
    assert float(found.knowledge[0] ** 2) == pytest.approx(4 * 9 * 0.02 + 2 * 0.02**2)


@pytest.mark.parametrize("scale", SCALES)
def test_the_density_integrates_to_one_and_its_integral_is_the_pit(scale):
    found = predicted(scale, 2.0, 0.1, 0.05)

    def density(y):
        return float(found.log_prob(torch.tensor([y], dtype=torch.float64)).exp())

    # what is below zero on the scale of a power is zero
    none, six = (float(found.pit(torch.tensor([y]).double())) for y in (0.0, 6.0))
    whole, _ = quad(density, 0, 400, limit=400, points=[0.5, 2.0, 10.0])
    assert none + whole == pytest.approx(1.0, abs=2e-3)
    part, _ = quad(density, 0, 6.0, limit=400, points=[0.5])
    assert none + part == pytest.approx(six, abs=2e-3)


def test_nothing_absurd_is_predicted_of_what_is_not_known():
    found = predicted(learnt("log"), 40.0, 1.0, 900.0)
    assert np.isfinite([found.mean, found.std, found.interval(0.99)[1]]).all()


@pytest.mark.parametrize("y", [0.0, -3.0])
@pytest.mark.parametrize("scale", SCALES)
def test_a_number_that_should_not_be_has_a_finite_density(scale, y):
    found = predicted(scale, 1.2, 0.1, 0.05)
    density = float(found.log_prob(torch.tensor([y], dtype=torch.float64)))
    assert -1e5 < density < 5


def test_the_head_reads_and_gives_back_what_there_was():
    frame = skewed(60)
    prepared = prepare_frame(frame, told(("log-normal",)))
    (target,) = prepared.targets
    assert isinstance(target.head, NumberHead)
    train = torch.from_numpy(prepared.rows.train)
    assert float(target.values[train].mean()) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(target.actual, frame.y, rtol=1e-12)
    np.testing.assert_allclose(target.head.units(target.values), frame.y, rtol=1e-5)
    # a standardised deviation in the middle: the slope of the inverse there
    middle = math.exp(target.head.transform.mean)
    assert target.head.deviation(0.01) == pytest.approx(
        0.1 * target.head.transform.scale * middle, rel=1e-9
    )


def skewed(rows=300, seed=0):
    """y = exp(1.5 x + 0.5 [k = b] + 0.6 noise): decades, all positive."""
    draw = np.random.default_rng(seed)
    x, k = draw.uniform(-2, 2, rows), draw.choice(["a", "b"], rows)
    y = np.exp(1.5 * x + 0.5 * (k == "b") + 0.6 * draw.normal(size=rows))
    return pd.DataFrame({"x": x, "k": k, "y": y})


def told(distribution=(), members=2, epochs=20):
    recipe = quick(target=("y",), distribution=distribution)
    return replace(
        recipe,
        network=Network(members=members, width=32, bins=8),
        training=replace(recipe.training, epochs=epochs),
    )


def scale_of(frame, distribution=()):
    recipe = told(distribution)
    recipe = replace(recipe, data=replace(recipe.data, split="none"))
    (column,) = prepare_frame(frame, recipe).schema.targets
    return column.transform


@pytest.mark.parametrize("seed", range(3))
def test_rows_left_out_choose_the_scale(seed):
    frame, draw = skewed(seed=seed), np.random.default_rng(seed)
    assert scale_of(frame).kind == "log"
    line = frame.assign(y=10 + 2 * frame.x + draw.normal(size=len(frame)))
    assert scale_of(line) is None
    assert scale_of(frame.assign(y=np.log(frame.y))) is None  # some are negative
    counts = frame.assign(y=draw.poisson(np.exp(0.8 * frame.x + 1)).astype(float))
    assert scale_of(counts).kind == "power"


def test_it_is_what_was_told():
    frame = skewed()
    assert scale_of(frame, ("normal",)) is None
    assert scale_of(frame, ("power-normal",)).kind == "power"
    assert scale_of(frame, ("normal", "y=log-normal")).kind == "log"


@pytest.mark.parametrize(
    ("change", "distribution", "message"),
    [
        ({"y": -1.0}, "log-normal", "log-normal number is never below 0, found -1"),
        ({}, "x=normal", r"no target 'x'"),
        ({"y": "big"}, "y=normal", "is a category"),
    ],
)
def test_what_cannot_be_is_refused(change, distribution, message):
    frame = skewed()
    if change:
        frame["y"] = frame["y"].astype(object)
        frame.loc[::2, "y"] = change["y"]
        if change["y"] == "big":
            frame.loc[1::2, "y"] = "small"
        else:
            frame["y"] = frame["y"].astype(float)
    with pytest.raises(InputError, match=message):
        scale_of(frame, (distribution,))
    with pytest.raises(InputError, match="did you mean 'log-normal'"):
        build({"data": {"distribution": ["lognormal"]}})


@pytest.fixture(scope="module")
def fitted():
    return fit_table(skewed(), told())


def thirds(model, seed):
    fresh = skewed(3000, seed)
    low, high = model.predict(fresh)["y"].interval(0.9)
    assert (low >= 0).all()
    inside = (fresh.y >= low) & (fresh.y <= high)
    return [inside[part].mean() for part in np.array_split(np.argsort(fresh.x.to_numpy()), 3)]


def test_intervals_hold_and_never_reach_below_zero(fitted):
    assert all(0.82 < share < 0.97 for share in thirds(fitted, 100))
    fresh = skewed(3000, 101)
    found = fitted.predict(fresh)["y"]
    # the mean is that of the values, not the median: their sums agree
    assert found.mean.sum() == pytest.approx(fresh.y.sum(), rel=0.25)
    (told_of,) = [note for note in fitted.findings.notes if "logarithm" in note]
    assert told_of.startswith("target 'y' is predicted on the scale of its logarithm")
    metrics, base = (fitted.findings.targets[0].metrics, fitted.findings.targets[0].baseline)
    assert metrics["log likelihood"] > base["log likelihood"] + 1


@pytest.mark.slow
def test_every_third_is_covered_over_seeds():
    found = [thirds(fit_table(skewed(500, s), told((), 4, 30)), 100 + s) for s in range(4)]
    assert all(0.86 < share < 0.94 for share in np.mean(found, 0))


def test_a_folder_keeps_it_and_an_earlier_one_has_none(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    read = TableModel.load(tmp_path / "model")
    rows = skewed(20, 5)
    np.testing.assert_array_equal(read.predict(rows)["y"].mean, fitted.predict(rows)["y"].mean)
    earlier = json.loads(json.dumps(fitted.schema.to_json()))
    for column in earlier:
        column.pop("transform", None)
    assert Schema.from_json(earlier).targets[0].head.transform is None


def test_new_rows_are_learnt_on_the_same_scale(fitted):
    new = skewed(100, 9)
    new.loc[0, "y"] = 0.0
    new.loc[1, "y"] = -5.0
    after = update_table(fitted, new)
    assert after.schema.targets[0].transform == fitted.schema.targets[0].transform
    told_of = after.findings.updates[-1].targets[0]
    assert all(value is not None for pair in told_of.new.values() for value in pair)


def test_the_regressor_takes_it():
    frame = skewed(120)
    found = TableRegressor(members=1, epochs=5, distribution="log-normal", random_state=0)
    found.fit(frame[["x", "k"]], frame.y)
    assert (found.predict(frame[["x", "k"]]) > 0).all()


def test_a_number_beyond_float32_is_measured_as_it_is():
    """Predictions are compared with the table's own numbers, not with what a network is given."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"x": draw.normal(size=100), "part": ["train"] * 80 + ["test"] * 20})
    frame["y"] = 3 * frame.x + 0.1 * draw.normal(size=100)
    for size in (1e12, 1e100):
        frame.loc[99, "y"] = size
        metrics = fit_table(frame, quick(target=("y",), split="part")).findings.targets[0].metrics
        assert metrics["mean absolute error"] == pytest.approx(size / 20)
        assert metrics["RMSE"] == pytest.approx(size / 20**0.5)
        assert metrics["R²"] == pytest.approx(1 - 1 / (1 - 1 / 20))
