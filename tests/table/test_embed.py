"""Embeddings out of a fitted table: what they hold, a geometry that is known, and a pipeline."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import procrustes
from sklearn.base import clone
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline

from counterpoint.errors import InputError
from counterpoint.table import TableEmbedder, TableRegressor

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
CITIES = {
    "Berlin": (13.4, 52.5), "Bern": (7.4, 46.9), "Lisbon": (-9.1, 38.7), "London": (-0.1, 51.5),
    "Madrid": (-3.7, 40.4), "Oslo": (10.8, 59.9), "Paris": (2.4, 48.9), "Rome": (12.5, 41.9),
    "Vienna": (16.4, 48.2), "Warsaw": (21.0, 52.2),
}  # fmt: skip


def small(**more):
    told = {"members": 1, "epochs": 60, "width": 32, "random_state": 0, "validation": 0.1}
    return TableRegressor(**{**told, **more})


def placed(table, column, names, rows):
    """The first two components of the vectors of some levels."""
    levels = table[[name for name in table if name.startswith(f"{column}[")]].to_numpy()
    means = np.stack([levels[rows == name].mean(0) for name in names])
    left, size, _ = np.linalg.svd(means - means.mean(0), full_matrices=False)
    return left[:, :2] * size[:2]


def test_vectors_and_standardised_numbers_have_names():
    draws = np.random.default_rng(0)
    rows = pd.DataFrame({"day": draws.choice(DAYS, 200), "heat": draws.normal(20, 5, 200)})
    rows.loc[:9, "heat"] = None
    model = small(epochs=2).fit(rows, draws.normal(size=200))
    found = model.model_.embed(rows)
    assert found.columns[0] == "day[0]"
    assert found.columns[-2:].tolist() == ["heat", "heat missing"]
    assert found["heat missing"].sum() == 10
    known = rows["heat"].notna()
    assert abs(found["heat"][known].mean()) < 1e-5
    same = found[rows["day"] == "Mon"].filter(like="day[")
    assert (same.nunique() == 1).all()
    with pytest.raises(InputError, match="member: expected 0 to 0, found 1"):
        model.model_.embed(rows, member=1)


@pytest.mark.slow
def test_the_circle_of_the_week_is_found():
    # demand is a wave over the week whose phase depends on the shop, so a day is an angle
    draws = np.random.default_rng(1)
    day, shop = draws.integers(7, size=3_000), draws.integers(6, size=3_000)
    demand = np.cos(2 * np.pi * day / 7 - shop) + 0.1 * draws.normal(size=3_000)
    rows = pd.DataFrame({"day": np.array(DAYS)[day], "shop": [f"s{each}" for each in shop]})
    found = placed(small().fit(rows, demand).embed(rows), "day", DAYS, rows["day"].to_numpy())
    angle = 2 * np.pi * np.arange(7) / 7
    _, _, apart = procrustes(np.stack([np.cos(angle), np.sin(angle)], 1), found)
    assert apart < 0.1  # 0 the same, 1 nothing alike


@pytest.mark.slow
def test_a_map_is_found_from_prices_of_travel():
    draws = np.random.default_rng(2)
    names, where = list(CITIES), np.array(list(CITIES.values()))
    start, end = draws.integers(10, size=4_000), draws.integers(10, size=4_000)
    price = np.hypot(*(where[start] - where[end]).T) + 0.5 * draws.normal(size=4_000)
    rows = pd.DataFrame({"from": np.array(names)[start], "to": np.array(names)[end]})
    found = placed(small().fit(rows, price).embed(rows), "from", names, rows["from"].to_numpy())
    _, _, apart = procrustes(where, found)
    assert apart < 0.25


@pytest.mark.slow
def test_neighbours_know_what_means_alike():
    draws = np.random.default_rng(3)
    town = draws.integers(40, size=1_200)
    worth = draws.normal(size=40)
    rows = pd.DataFrame({"town": [f"t{each}" for each in town], "size": draws.normal(size=1_200)})
    y = worth[town] + 0.3 * rows["size"] + 0.1 * draws.normal(size=1_200)
    train, test = slice(0, 900), slice(900, None)
    pipe = make_pipeline(TableEmbedder(small()), KNeighborsRegressor(5))
    with_them = pipe.fit(rows[train], y[train]).score(rows[test], y[test])
    coded = pd.get_dummies(rows).astype(float)
    without = KNeighborsRegressor(5).fit(coded[train], y[train]).score(coded[test], y[test])
    assert with_them > without
    assert with_them > 0.9
    embedder = pipe[0]
    assert len(embedder.get_feature_names_out()) == embedder.transform(rows[:1]).shape[1]
    assert clone(embedder).get_params()["estimator__width"] == 32


def test_another_estimator_is_refused():
    with pytest.raises(InputError, match="TableRegressor or a TableClassifier, found a KNeigh"):
        TableEmbedder(KNeighborsRegressor()).fit([[1.0], [2.0]], [1.0, 2.0])
