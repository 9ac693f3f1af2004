"""scikit-learn's own checks, and what they do not look at."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from counterpoint.estimators import NeuralLinearRegressor
from counterpoint.table import TableClassifier, TableRegressor
from tables import mixed


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["neural-linear", "neural-linear-evidence", "classifier", "regressor"],
)
def test_scikit_learns_checks(name):
    script = Path(__file__).parents[1] / "sklearn_checks.py"
    done = subprocess.run(
        [sys.executable, str(script), name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def frame():
    return mixed(120)


def quick(kind, **more):
    return kind(epochs=8, members=1, width=32, random_state=0, **more)


def test_a_frame_of_mixed_columns(frame):
    x = frame[["size", "shade", "sold"]]
    model = TableRegressor(epochs=40, members=1, width=32, rate=0.01, random_state=0)
    model.fit(x, frame["price"])
    mean, std = model.predict(x, return_std=True)
    assert np.corrcoef(mean, frame["price"])[0, 1] > 0.9
    assert (std > 0).all()
    assert model.feature_names_in_.tolist() == ["size", "shade", "sold"]


def test_classes_keep_their_type_and_order(frame):
    labels = frame["kind"].map({"small": -1, "middle": 0, "big": 7})
    model = quick(TableClassifier, rate=0.01).fit(frame[["size", "shade"]], labels)
    assert model.classes_.tolist() == [-1, 0, 7]
    assert model.score(frame[["size", "shade"]], labels) > 0.6
    assert model.predict_proba(frame[["size", "shade"]]).sum(1) == pytest.approx(1.0)


def test_many_classes_stay_in_numeric_order():
    draw = np.random.default_rng(0)
    y = np.repeat(np.arange(12), 20)
    x = y[:, None] + 0.05 * draw.normal(size=(240, 1))
    model = TableClassifier(epochs=30, members=1, width=12, rate=0.02, random_state=0).fit(x, y)
    assert model.score(x, y) > 0.8


def test_two_targets_at_once(frame):
    both = frame[["price", "junk"]]
    model = quick(TableRegressor).fit(frame[["size", "shade"]], both)
    assert model.predict(frame[["size", "shade"]]).shape == (120, 2)


def test_a_column_called_like_a_target(frame):
    x = frame[["size", "shade"]].rename(columns={"size": "y", "shade": "weight"})
    model = quick(TableClassifier).fit(x, frame["kind"], sample_weight=np.ones(120))
    assert model.predict(x).shape == (120,)


def test_a_column_that_counts_rows_is_a_number_here():
    x = pd.DataFrame({"hour": np.arange(100.0)})
    model = TableRegressor(epochs=60, members=1, rate=0.02, random_state=0).fit(x, 3 * x["hour"])
    assert model.score(x, 3 * x["hour"]) > 0.9


def test_in_a_grid_search_and_a_pipeline(frame):
    pipeline = make_pipeline(FunctionTransformer(), quick(TableRegressor))
    search = GridSearchCV(pipeline, {"tableregressor__width": [8, 16]}, cv=2)
    search.fit(frame[["size", "shade"]], frame["price"])
    assert search.best_params_["tableregressor__width"] in (8, 16)


def test_knowledge_grows_away_from_the_rows():
    x = np.linspace(-1, 1, 100)[:, None]
    model = NeuralLinearRegressor(epochs=50, random_state=0).fit(x, x[:, 0] ** 2)
    found = model.predictive(np.array([[0.0], [6.0]]))
    assert found.knowledge[1] > 10 * found.knowledge[0]
    assert found.noise[0] == found.noise[1]
