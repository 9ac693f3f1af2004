"""The whole network learns, held by what earlier rows say of its weights."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.recipe import Update
from counterpoint.table import TableModel, fit_table, update_table
from counterpoint.table.masked import Masked
from tables import mixed, quick


def waves(centre, rows=300, seed=0):
    """A bent surface, seen around one place."""
    draw = np.random.default_rng(seed)
    x, z = draw.normal(centre, 1.0, rows), draw.normal(size=rows)
    y = np.sin(2 * x) + np.cos(2 * z) * np.tanh(x) + 0.1 * draw.normal(size=rows)
    return pd.DataFrame({"x": x, "z": z, "y": y})


def fitted(seed):
    recipe = quick(target=("y",), split="none")
    return fit_table(
        waves(-1), replace(recipe, training=replace(recipe.training, epochs=40, seed=seed))
    )


@pytest.fixture(scope="module")
def models():
    return [fitted(seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def model(models):
    return models[0]


def error(models, table):
    """Of several models, on average."""
    found = [np.mean((model.predict(table)["y"].mean - table.y) ** 2) ** 0.5 for model in models]
    return float(np.mean(found))


def test_it_learns_what_heads_cannot_and_remembers_what_training_forgets(models):
    old, new, table = waves(-1, seed=1), waves(1, seed=2), waves(1, seed=3)
    told = {"heads": Update(), "deep": Update(deep=True), "free": Update(deep=True, forget=1.0)}
    after = {name: [update_table(m, table, one) for m in models] for name, one in told.items()}
    assert error(after["deep"], new) < 0.7 * error(after["heads"], new)
    assert error(after["deep"], old) < 0.9 * error(after["free"], old)


def test_the_memory_is_of_all_rows(model):
    before = model.members[0].memory
    after = update_table(model, waves(1, seed=3)).members[0].memory
    half = update_table(model, waves(1, seed=3), Update(forget=0.5)).members[0].memory
    rows = [memory.gaussian.counts for memory in (before, after, half)]
    assert rows == pytest.approx([300, 600, 600])
    assert half.gaussian.tempering == pytest.approx(0.75)
    network = model.members[0].network
    assert float(before.value(Masked(network), rows=1)) == 0.0


def test_a_network_that_learnt_is_kept_whole(model, tmp_path):
    deep = update_table(model, waves(1, seed=3), Update(deep=True))
    deep.save(tmp_path / "m")
    read = TableModel.load(tmp_path / "m")
    pair = [m.members[0].memory.state_dict() for m in (deep, read)]
    assert all(torch.equal(value, pair[1][name]) for name, value in pair[0].items())
    assert np.array_equal(
        read.predict(waves(1, seed=3))["y"].std, deep.predict(waves(1, seed=3))["y"].std
    )
    assert [learnt.how for learnt in read.history] == ["fit", "deep update"]


def test_without_kept_rows_a_gaussian_tells_what_was_forgotten(model):
    told = update_table(model, waves(1, seed=3), Update(deep=True)).findings.updates[-1].targets[0]
    assert told.source == "Gaussian"
    none, lost = told.earlier["loss added, nats a row"]
    assert none == 0
    assert 0 < lost < 1


def test_new_levels_and_classes_in_a_deep_update():
    fitted = fit_table(mixed(), quick(target=("price", "kind"), ignore=("junk", "weight")))
    table = mixed(200, 5)
    table.loc[::3, "shade"] = "red"
    table.loc[::4, "kind"] = "huge"
    after = update_table(fitted, table, Update(deep=True))
    assert after.schema.column("shade").levels == ("dark", "light", "red")
    assert after.schema.column("kind").levels[-1] == "huge"
    twice = update_table(after, mixed(60, 6), Update(deep=True))
    assert twice.predict(table)["kind"].probabilities.shape == (200, 4)
