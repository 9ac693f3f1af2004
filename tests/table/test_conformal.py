"""Intervals that hold in every group, whatever the model, because rows aside say so."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.posterior.calibration import conformal_by
from counterpoint.recipe import Data
from counterpoint.table import TableModel, fit_table, update_table
from counterpoint.table.model._aside import groups_of
from tables import mixed, prepare_frame, quick

SPREADS = {"a": 0.2, "b": 0.6, "c": 2.0}


def scattered(rows, seed=0, shift=0.0):
    """y = x + noise whose spread differs by group and grows with x."""
    draw = np.random.default_rng(seed)
    group = draw.choice(list(SPREADS), rows)
    x = draw.normal(size=rows) + shift
    spread = np.array([SPREADS[name] for name in group]) * np.exp(0.3 * x)
    return pd.DataFrame({"x": x, "group": group, "y": x + spread * draw.normal(size=rows)})


def told(**data):
    recipe = quick(**{"target": ("y",), "split": "none", **data})
    return replace(recipe, network=replace(recipe.network, width=8))


def held(model, frame, level=0.9):
    low, high = model.predict(frame)["y"].interval(level)
    inside = pd.Series((frame["y"] >= low) & (frame["y"] <= high))
    return inside.groupby(frame["group"].to_numpy()).mean()


@pytest.fixture(scope="module")
def by_group():
    return fit_table(scattered(900), told(conformal=0.4, conformal_by="group"), evaluate=False)


@pytest.fixture(scope="module")
def new():
    return scattered(6000, seed=9)


def test_rows_aside_are_neither_learnt_nor_left_out_nor_held_out():
    rows = prepare_frame(mixed(), quick(conformal=0.25)).rows
    parts = [rows.train, rows.aside, rows.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(240))
    assert len(rows.aside) == 48
    assert all(set(part) <= set(rows.train) for part in rows.held)


def test_groups_stay_whole():
    frame = mixed().assign(home=np.arange(240) // 6)
    rows = prepare_frame(frame, quick(conformal=0.3, split="group:home")).rows
    homes = [set(frame["home"][part]) for part in (rows.train, rows.aside, rows.test)]
    assert sum(map(len, homes)) == len(set().union(*homes)) == 40


def test_intervals_hold_in_every_group(by_group, new):
    """120 rows a group aside: nine tenths to within 1/121 on average, and what chance adds."""
    plain = fit_table(scattered(900), told(), evaluate=False)
    assert held(by_group, new).between(0.85, 0.95).all()
    # one noise for all, or one by the row, is not enough to hold group by group
    assert np.abs(held(by_group, new) - 0.9).max() <= np.abs(held(plain, new) - 0.9).max() + 0.02


def test_the_levels_are_those_of_the_rows_aside(by_group):
    rows = by_group.aside
    plain = replace(by_group, aside=None).predict_encoded(rows.inputs)["y"]
    column = by_group.schema.column("y")
    groups = groups_of(by_group.schema, "group", rows.inputs)
    wanted = conformal_by(plain.pit(column.head.units(rows.values[0])), groups, rows.weights[0])
    found = by_group.predict_encoded(rows.inputs)["y"]
    low, high = found.interval(0.8)
    for group in groups.unique().tolist():
        chosen = (groups == group).numpy()
        bounds = plain.rows(groups == group).interval(wanted[group].level(0.8))
        np.testing.assert_allclose(np.stack([low[chosen], high[chosen]]), bounds)
    np.testing.assert_array_equal(found.mean, plain.mean)


def test_pit_values_agree_with_the_intervals(by_group, new):
    found, actual = by_group.predict(new)["y"], torch.tensor(new["y"].to_numpy())
    distance = (2 * found.pit(actual) - 1).abs()
    for level in (0.3, 0.9):
        inside = found.inside(actual, level)
        assert ((distance <= level) == inside).double().mean() > 0.999
    part = found.rows(torch.arange(5))
    np.testing.assert_array_equal(part.interval(0.9)[0], found.interval(0.9)[0][:5])


def test_they_hold_after_an_update(by_group, new):
    after = update_table(by_group, scattered(300, seed=3))
    assert after.aside is by_group.aside
    assert held(after, new).between(0.85, 0.95).all()


def test_they_are_the_same_when_read_again(by_group, new, tmp_path):
    by_group.save(tmp_path / "model")
    again = TableModel.load(tmp_path / "model")
    for level in (0.5, 0.9):
        bounds = [model.predict(new)["y"].interval(level) for model in (by_group, again)]
        np.testing.assert_array_equal(*bounds)


def test_without_groups_they_hold_in_all(new):
    model = fit_table(scattered(900), told(conformal=0.4), evaluate=False)
    low, high = model.predict(new)["y"].interval(0.9)
    assert 0.87 <= np.mean((new["y"] >= low) & (new["y"] <= high)) <= 0.93


def test_where_rows_lie_elsewhere_the_rows_aside_are_weighed(by_group):
    elsewhere = scattered(3000, seed=5, shift=1.0)
    weighed = by_group.shifted(elsewhere)
    numbers = weighed.aside.inputs["numbers"]
    heavy, light = (
        float((w * numbers[:, 0]).sum() / w.sum())
        for w in (weighed.aside.weights[0], by_group.aside.weights[0])
    )
    assert heavy > light + 0.5
    gap = [np.abs(held(model, elsewhere) - 0.9).mean() for model in (weighed, by_group)]
    assert gap[0] <= gap[1] + 0.02
    with pytest.raises(InputError, match="no rows aside to weigh"):
        replace(by_group, aside=None).shifted(elsewhere)


def test_findings_have_the_coverage_of_groups_the_least_first():
    frame = scattered(700)
    model = fit_table(frame, told(split="0.4", conformal_by="group"))
    (target,) = model.findings.targets
    groups = target.groups
    assert {(group.column, group.level) for group in groups} == {("group", g) for g in SPREADS}
    assert [g.inside for g in groups] == sorted(g.inside for g in groups)
    assert sum(group.rows for group in groups) == 280
    overall = sum(group.rows * group.inside for group in groups) / 280
    assert overall == pytest.approx(target.metrics["coverage of 90% interval"])


def test_what_cannot_be_used_is_refused():
    with pytest.raises(InputError, match="conformal_by: 'shape' is no category among the inputs"):
        fit_table(scattered(200), told(conformal_by="shape"), evaluate=False)
    with pytest.raises(InputError, match="leaves 5 rows to tell whether intervals hold"):
        fit_table(scattered(50), told(conformal=0.1), evaluate=False)
    with pytest.raises(InputError, match=r"data.conformal"):
        Data(conformal=0.7)
    assert Data(conformal_by="group").conformal == 0.2
