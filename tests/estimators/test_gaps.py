"""Splits with gaps, the report on them, and tuning in them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.tree import DecisionTreeRegressor

from counterpoint.errors import InputError
from counterpoint.estimators import GapSplit, tune
from estimators.cases import cubic, linear, luna, plane


def test_a_gap_holds_no_training_row():
    x, _ = plane()
    pairs = list(GapSplit().split(x))
    assert len(pairs) == GapSplit().get_n_splits(x) == 3
    for column, (train, test) in enumerate(pairs):
        assert sorted([*train, *test]) == list(range(60))
        low, high = x[test, column].min(), x[test, column].max()
        between = (x[train, column] > low) & (x[train, column] < high)
        assert not between.any()
        assert len(test) == 20
        assert (x[train, column] < low).sum() == (x[train, column] > high).sum() == 20


def test_columns_by_name_and_number():
    frame = pd.DataFrame({"a": np.arange(9.0), "b": np.arange(9.0)[::-1], "c": np.ones(9)})
    assert GapSplit().get_n_splits(frame) == 2
    named = next(iter(GapSplit(["b"]).split(frame)))[1]
    numbered = next(iter(GapSplit([1]).split(frame.to_numpy())))[1]
    assert named.tolist() == numbered.tolist() == [3, 4, 5]
    assert GapSplit([0, 1]).get_n_splits() == 2


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["d"], "gap split: no column 'd'"),
        ([7], "gap split: column 7 of 3 is not there"),
        (["c"], "gap split: column 2 has one value and cannot be cut along"),
    ],
)
def test_columns_that_cannot_be_cut(features, message):
    frame = pd.DataFrame({"a": np.arange(9.0), "b": np.arange(9.0), "c": np.ones(9)})
    with pytest.raises(InputError, match=message):
        list(GapSplit(features).split(frame))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((5, 2)), "no column with two values"),
        (np.ones((2, 1)), "three rows or more, found"),
        (np.ones(5), "shape \\(rows, columns\\)"),
    ],
)
def test_rows_that_cannot_be_cut(x, message):
    with pytest.raises(InputError, match=message):
        list(GapSplit().split(x))
    with pytest.raises(InputError, match="X is needed to count"):
        GapSplit().get_n_splits()


def test_scikit_learn_takes_the_splits():
    x, y = plane(targets=1)
    found = cross_validate(DecisionTreeRegressor(), x, y, cv=GapSplit())
    assert len(found["test_score"]) == 3
    search = GridSearchCV(DecisionTreeRegressor(), {"max_depth": [1, 2]}, cv=GapSplit([0]))
    assert search.fit(x, y).n_splits_ == 1


def test_the_report_tells_outside_from_inside():
    x, y = cubic()
    far = np.linspace(30, 60, 20)[:, None]
    report = luna().fit(x, y).gap_report(x, far, y=y, outside_y=far[:, 0] ** 3)
    assert report.auroc == report.distance_auroc == 1
    assert report.ratio[0] > 3
    assert report.knowledge_scores[0].shape == report.distance_scores[0].shape == (40,)
    assert report.coverage[0] > 0.7 > 0.1 > report.coverage[1]
    assert report.log_prob[0] > report.log_prob[1]
    assert report.sentence.count("%") == 4


def test_the_report_of_the_same_rows_tells_nothing():
    x, y = plane()
    model = linear().fit(x, y)
    report = model.gap_report(x, x)
    assert report.auroc == report.distance_auroc == 0.5
    np.testing.assert_array_equal(report.ratio, [1, 1])
    assert np.isnan(report.coverage).all()
    assert "%" not in report.sentence
    nearest = model.gap_report(x, x, neighbours=1).distance_scores[0]
    np.testing.assert_allclose(nearest, 0, atol=1e-5)
    knowledge = model.predictive(x).knowledge.numpy()
    np.testing.assert_allclose(report.knowledge_inside, np.sqrt(knowledge).mean(0))
    np.testing.assert_allclose(report.knowledge_scores[0], (knowledge / y.var(0)).sum(1))


def test_distances_are_those_of_standardised_features():
    x, y = cubic()
    model = linear().fit(x, y)
    rows = model.features_.numpy()
    spread = np.where(rows.std(0) == 0, 1, rows.std(0))
    other = model._features(np.array([[0.0]])).numpy()
    distance = np.sort(np.linalg.norm((rows - other) / spread, axis=1))[:3].mean()
    found = model.gap_report(x, [[0.0]], neighbours=3).distance_scores[1]
    np.testing.assert_allclose(found, distance, rtol=1e-4)


@pytest.mark.parametrize("settings", [{"neighbours": 0}, {"level": 1.0}])
def test_report_settings_that_cannot_be_used(settings):
    x, y = cubic()
    with pytest.raises(InputError, match=next(iter(settings))):
        linear(epochs=1).fit(x, y).gap_report(x, x, **settings)


def test_tuning_takes_the_best_in_the_gaps():
    x, y = plane(targets=1)
    grid = {"diversity": [0.0, 0.5], "epochs": [1, 8]}
    found = tune(luna(), x, y, grid=grid)
    assert found.gaps == 3
    assert found.settings["epochs"] == 8
    assert found.estimator.get_params()["epochs"] == 8
    assert found.scores["log_prob"].is_monotonic_decreasing
    assert found.log_prob == found.scores["log_prob"][0]
    best = [
        luna(**found.settings).fit(x[train], y[train]).log_prob(x[test], y[test]).mean()
        for train, test in GapSplit().split(x)
    ]
    assert found.log_prob == pytest.approx(np.mean(best))
    assert found.scores["worst"][0] == pytest.approx(np.min(best))
    assert found.scores["error"][0] == pytest.approx(np.std(best, ddof=1) / np.sqrt(3))
    assert found.sentence.endswith("in 3 gap(s), best of 4 settings")


def test_tuning_by_default_and_on_other_splits():
    x, y = cubic(12)
    assert len(tune(luna(epochs=1, heads=2), x, y, splits=KFold(2)).scores) == 9
    alone = tune(linear(epochs=1), x, y)
    assert list(alone.settings) == ["weight_decay"]
    assert alone.scores["error"].isna().all()


@pytest.mark.parametrize(
    ("estimator", "grid", "message"),
    [
        (DecisionTreeRegressor(), None, "found DecisionTreeRegressor"),
        (linear(), {}, "grid must have a setting"),
        (linear(), {"rate": []}, "grid must have a setting"),
        (linear(), {"diversity": [1.0]}, "grid: no setting 'diversity'"),
    ],
)
def test_tuning_refuses(estimator, grid, message):
    x, y = cubic(12)
    with pytest.raises(InputError, match=message):
        tune(estimator, x, y, grid=grid)
