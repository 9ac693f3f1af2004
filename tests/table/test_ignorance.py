"""The map of ignorance: where little is known, as findings."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from counterpoint.plain import from_plain, to_plain
from counterpoint.table import Findings, fit_table
from tables import mixed, quick


def test_the_map_is_what_the_model_predicts_there(fitted):
    found = fitted.findings.maps[0]
    assert (found.target, found.columns, found.rows) == ("price", "size", None)  # junk is ignored
    assert set(found.others) == {"shade", "sold"}
    cells = {name: [text] * len(found.x) for name, text in found.others.items()}
    frame = pd.DataFrame({"size": found.x, **cells})
    predicted = fitted.predict(frame)["price"].knowledge
    assert np.allclose(found.knowledge[0], predicted, rtol=1e-3)


def test_the_line_reaches_beyond_the_rows_and_has_their_sizes(fitted):
    found = fitted.findings.maps[0]
    size = mixed()["size"].dropna()
    assert found.x[0] < np.quantile(size, 0.01)
    assert found.x[-1] > np.quantile(size, 0.99)
    assert all(np.isclose(size, value).any() for value in found.point_x)
    assert found.point_y == []


def test_two_numbers_that_matter_span_the_map():
    frame = mixed(150).drop(columns=["kind", "weight"])
    found = fit_table(frame, _quickest(target=("price",))).findings.maps[0]
    assert {found.columns, found.rows} == {"size", "junk"}
    assert np.array(found.knowledge).shape == (len(found.y), len(found.x)) == (24, 24)
    assert len(found.point_x) == len(found.point_y) <= 250
    assert found.others["shade"] == frame["shade"].mode()[0]


def _quickest(**data):
    recipe = quick(**data)
    return replace(recipe, training=replace(recipe.training, epochs=2))


def test_a_table_without_numbers_has_distances_alone():
    frame = mixed(150)[["shade", "kind"]].assign(sold=pd.date_range("2024-01-01", periods=150))
    found = fit_table(frame, _quickest(target=("kind",))).findings.maps[0]
    assert (found.columns, found.rows, found.knowledge) == (None, None, [])
    assert len(found.distance) == len(found.missing) > 0


def test_without_held_out_rows_there_are_no_distances():
    found = fit_table(mixed(80), _quickest(split="none")).findings.maps[0]
    assert found.columns is not None
    assert (found.distance, found.near, found.agreement) == ([], None, None)


def test_rows_far_away_are_far_away_and_less_known():
    draw = np.random.default_rng(0)
    x = np.concatenate([draw.uniform(-1, 1, (200, 2)), draw.uniform(2, 6, (40, 2))])
    part = ["train"] * 200 + ["test"] * 40
    frame = pd.DataFrame(x, columns=["a", "b"]).assign(y=x[:, 0] + draw.normal(size=240), part=part)
    found = fit_table(frame, _quickest(target=("y",), split="part")).findings.maps[0]
    assert min(found.distance) > 2
    assert found.far > found.near
    assert found.agreement > 0.3
    near = fit_table(frame[:200], _quickest(target=("y",), ignore=("part",))).findings.maps[0]
    assert np.median(near.distance) == pytest.approx(1.0, rel=0.3)


def test_it_is_kept_and_read_back(fitted):
    again = from_plain(Findings, to_plain(fitted.findings))
    assert again.maps == fitted.findings.maps
    assert again.uncertainty == "last-layer"
