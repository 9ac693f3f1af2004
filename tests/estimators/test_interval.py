"""Intervals of estimators that hold what they say."""

import numpy as np
import pytest

from counterpoint.errors import InputError
from counterpoint.estimators import NeuralLinearRegressor
from counterpoint.estimators._training import conformed
from counterpoint.table import TableRegressor


def rows(count, seed):
    """A curve with noise that is skewed and far from normal."""
    draw = np.random.default_rng(seed)
    x = draw.uniform(-2, 2, (count, 2))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] + draw.exponential(size=count) ** 2


@pytest.fixture(scope="module")
def model():
    x, y = rows(250, 0)
    settings = {"epochs": 4, "batch_size": 64, "rate": 0.02, "random_state": 0}
    return NeuralLinearRegressor(**settings).fit(x, np.stack([y, -x[:, 0]], 1))


def test_nine_tenths_of_new_rows_are_inside(model):
    x, y = rows(4000, 1)
    low, high = (end[:, 0] for end in model.predict_interval(x, 0.9))
    assert np.mean((low <= y) & (y <= high)) == pytest.approx(0.9, abs=0.03)
    mean, std = (part[:, 0] for part in model.predict(x, return_std=True))
    # a normal of the right variance holds more than it says: the tail is long, the rest is narrow
    assert np.mean(np.abs(y - mean) < 1.645 * std) > 0.93


def test_intervals_of_a_level_are_in_those_of_a_greater_one(model):
    x, _ = rows(50, 2)
    inner, outer = (model.predict_interval(x, level) for level in (0.5, 0.95))
    assert (outer[0] < inner[0]).all()
    assert (inner[1] < outer[1]).all()


def test_the_level_is_asked_of_each_target_by_itself(model):
    x, _ = rows(7, 3)
    low, high = model.predict_interval(x, 0.8)
    assert low.shape == high.shape == (7, 2)
    for k, found in enumerate(model._levels):
        wanted = model.predictive(x).interval(found.level(0.8))
        np.testing.assert_allclose(low[:, k], wanted[0][:, k])
        np.testing.assert_allclose(high[:, k], wanted[1][:, k])


def test_without_rows_left_out_they_are_those_of_the_distribution():
    x, y = rows(60, 4)
    model = NeuralLinearRegressor(epochs=5, noise="evidence", random_state=0).fit(x, y)
    wanted = conformed(model.predictive(x), [], 0.9)
    for found, end in zip(model.predict_interval(x, 0.9), wanted, strict=True):
        np.testing.assert_array_equal(found, end[:, 0])


@pytest.mark.parametrize("level", [0.0, 1.0, 90])
def test_a_level_that_is_none_is_refused(model, level):
    with pytest.raises(InputError, match="level: expected a number between 0 and 1, found"):
        model.predict_interval(rows(3, 0)[0], level)


def test_a_table_keeps_rows_aside_and_its_intervals_hold_them():
    x, y = rows(120, 5)
    settings = {"members": 1, "epochs": 3, "random_state": 0}
    model = TableRegressor(conformal=0.3, **settings).fit(x, y)
    assert len(model.model_.aside.weights[0]) == 36
    low, high = model.predict_interval(x, 0.9)
    (found,) = model.model_.predict(model._frame(x, reset=False)).values()
    np.testing.assert_array_equal(np.stack([low, high]), np.stack(found.interval(0.9)))
    with pytest.raises(InputError, match="level: expected a number between 0 and 1"):
        model.predict_interval(x, 2.0)
