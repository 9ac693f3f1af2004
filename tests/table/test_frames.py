"""Rows in whatever holds them: arrays by place, frames of other libraries by name."""

import warnings

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from counterpoint.estimators import NeuralLinearRegressor
from counterpoint.table import TableClassifier, TableRegressor
from counterpoint.table._frames import to_pandas


def told(kind, **more):
    return kind(epochs=3, members=1, width=8, random_state=0, **more)


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(0)
    x = pd.DataFrame({"size": draw.normal(size=60), "shade": draw.choice(["light", "dark"], 60)})
    return x, x["size"] + (x["shade"] == "dark") + 0.1 * draw.normal(size=60)


@pytest.fixture(scope="module")
def model(rows):
    return told(TableRegressor).fit(*rows)


def test_an_array_is_read_by_place_with_scikit_learns_warning(rows, model):
    x, _ = rows
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        found = model.predict(x.to_numpy())
    np.testing.assert_array_equal(found, model.predict(x))


def test_a_frame_is_read_by_place_where_the_fit_had_no_names(rows):
    x, y = rows
    model = told(TableRegressor).fit(x.to_numpy(), y)
    with pytest.warns(UserWarning, match="fitted without feature names"):
        found = model.predict(x)
    np.testing.assert_array_equal(found, model.predict(x.to_numpy()))


def test_texts_of_an_array_are_categories_and_its_numbers_numbers(rows, model):
    x, y = rows
    found = told(TableRegressor).fit(x.to_numpy(), y)
    kinds = [column.kind for column in found.model_.schema.inputs]
    assert kinds == [column.kind for column in model.model_.schema.inputs]
    np.testing.assert_array_equal(found.predict(x.to_numpy()), model.predict(x))


def test_another_number_of_columns_is_refused(rows, model):
    x, _ = rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(ValueError, match=r"X has 1 features, but .* is expecting 2"):
            model.predict(x.to_numpy()[:, :1])


def test_other_names_are_refused(rows, model):
    x, _ = rows
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(x.rename(columns={"size": "sise"}))


def test_a_table_of_arrow_is_a_frame(rows, model):
    x, y = rows
    arrow = pa.Table.from_pandas(x)
    np.testing.assert_array_equal(model.predict(arrow), model.predict(x))
    again = told(TableRegressor).fit(arrow, pa.array(y))
    assert again.feature_names_in_.tolist() == ["size", "shade"]
    np.testing.assert_array_equal(again.predict(arrow), model.predict(x))


def test_a_frame_that_waits_is_collected(rows, model):
    x, _ = rows
    found = model.predict(nw.from_native(pa.Table.from_pandas(x)).lazy())
    np.testing.assert_array_equal(found, model.predict(x))


def test_what_is_no_frame_stays_what_it_is(rows):
    x, _ = rows
    array = np.zeros((2, 2))
    assert to_pandas(array) is array
    assert to_pandas(x) is x
    assert to_pandas([[1.0]]) == [[1.0]]


def test_the_neural_linear_model_takes_arrow_by_name_and_arrays_by_place(rows):
    x, y = rows
    model = NeuralLinearRegressor(epochs=2, width=4, noise="evidence", random_state=0)
    model.fit(x[["size"]], y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        found = model.predict(x[["size"]].to_numpy())
    np.testing.assert_array_equal(found, model.predict(x[["size"]]))
    np.testing.assert_array_equal(found, model.predict(pa.Table.from_pandas(x[["size"]])))


def test_probabilities_by_place_too(rows):
    x, y = rows
    model = told(TableClassifier).fit(x, y > 0)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        found = model.predict_proba(x.to_numpy())
    np.testing.assert_array_equal(found, model.predict_proba(x))
