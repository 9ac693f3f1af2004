"""`partial_fit` is an update: rows learnt later, without the earlier ones."""

import numpy as np
import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.table import TableClassifier, TableRegressor, update_table


def told(kind, **more):
    return kind(epochs=3, members=1, width=8, random_state=0, **more)


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(0)
    x = pd.DataFrame({"size": draw.normal(size=90), "shade": draw.choice(["light", "dark"], 90)})
    return x, x["size"] + (x["shade"] == "dark") + 0.1 * draw.normal(size=90)


def test_the_first_call_is_a_fit(rows):
    x, y = rows
    fitted, partly = told(TableRegressor).fit(x, y), told(TableRegressor).partial_fit(x, y)
    np.testing.assert_array_equal(fitted.predict(x), partly.predict(x))


def test_later_calls_are_updates_of_the_table(rows):
    x, y = rows
    model = told(TableRegressor).fit(x[:60], y[:60])
    wanted = update_table(model.model_, x[60:].assign(y0=y[60:]))
    found = model.partial_fit(x[60:], y[60:])
    assert found is model
    np.testing.assert_array_equal(model.predict(x), wanted.predict(x)["y0"].mean)
    assert [learnt.rows for learnt in model.model_.history] == [60, 30]


def test_an_array_goes_on_by_place(rows):
    x, y = rows
    named = told(TableRegressor).fit(x[:60], y[:60]).partial_fit(x[60:], y[60:])
    placed = told(TableRegressor).fit(x[:60], y[:60])
    with pytest.warns(UserWarning, match="valid feature names"):
        placed.partial_fit(x[60:].to_numpy(), y[60:])
    np.testing.assert_array_equal(named.predict(x), placed.predict(x))


def test_weights_are_in_the_unit_of_the_fit(rows):
    x, y = rows
    ones, tens = (
        told(TableRegressor)
        .fit(x[:60], y[:60], sample_weight=np.full(60, unit))
        .partial_fit(x[60:], y[60:], sample_weight=np.full(30, 3 * unit))
        for unit in (1.0, 10.0)
    )
    np.testing.assert_allclose(ones.predict(x), tens.predict(x), rtol=1e-9)
    layer = ones.model_.members[0].posterior.posteriors["y0"]
    assert layer.statistics.weight == pytest.approx(60 + 3 * 30)


def test_weights_where_the_fit_had_none_are_refused(rows):
    x, y = rows
    model = told(TableRegressor).fit(x[:60], y[:60])
    with pytest.raises(InputError, match="sample_weight: the first rows had none"):
        model.partial_fit(x[60:], y[60:], sample_weight=np.ones(30))


def test_classes_announced_at_first_may_come_later(rows):
    x, y = rows
    labels = np.where(y > 0.5, "high", "low").astype(object)
    labels[70:80] = "odd"
    model = told(TableClassifier)
    model.partial_fit(x[:60], labels[:60], classes=["high", "low", "odd"])
    before = model.predict_proba(x[:5])
    assert model.classes_.tolist() == ["high", "low", "odd"]
    assert (before[:, 2] == 0).all()
    after = model.partial_fit(x[60:], labels[60:]).predict_proba(x[:5])
    assert (after[:, 2] > 0).all()
    assert after.sum(1) == pytest.approx(1.0)
    with pytest.raises(InputError, match="class 'new' is none of the 3 announced"):
        model.partial_fit(x[:2], np.array(["new", "low"], dtype=object))


def test_another_number_of_targets_is_refused(rows):
    x, y = rows
    model = told(TableRegressor).fit(x, y)
    with pytest.raises(InputError, match="y: expected 1 targets as in the fit, found 2"):
        model.partial_fit(x, np.stack([y, y], 1))


def test_what_cannot_be_updated_says_so(rows):
    x, y = rows
    model = told(TableRegressor, uncertainty="laplace").fit(x[:60], y[:60])
    with pytest.raises(InputError, match="uncertainty 'laplace' cannot be updated"):
        model.partial_fit(x[60:], y[60:])
