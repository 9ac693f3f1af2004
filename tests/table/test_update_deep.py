"""The whole network learns, held by what earlier rows say of its weights."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.recipe import Update
from counterpoint.table import TableModel, fit_table, update_table
from counterpoint.table.fit._context import Context
from counterpoint.table.model._observed import ObservedTargets
from tables import mixed, quick


def waves(centre, rows=300, seed=0):
    """A bent surface, seen around one place."""
    draw = np.random.default_rng(seed)
    x, z = draw.normal(centre, 1.0, rows), draw.normal(size=rows)
    y = np.sin(2 * x) + np.cos(2 * z) * np.tanh(x) + 0.1 * draw.normal(size=rows)
    return pd.DataFrame({"x": x, "z": z, "y": y})


def fitted_to(seed):
    recipe = quick(target=("y",), split="none")
    return fit_table(
        waves(-1), replace(recipe, training=replace(recipe.training, epochs=40, seed=seed))
    )


@pytest.fixture(scope="module")
def models():
    return [fitted_to(seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def model():
    return fitted_to(0)


def error(models, table):
    """Of several models, on average."""
    found = [np.mean((model.predict(table)["y"].mean - table.y) ** 2) ** 0.5 for model in models]
    return float(np.mean(found))


@pytest.mark.slow
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
    assert float(before.value(ObservedTargets(network), rows=1)) == 0.0


@pytest.fixture(scope="module")
def deep(model):
    return update_table(model, waves(1, seed=3), Update(deep=True))


def test_a_network_that_learnt_is_kept_whole(deep, tmp_path):
    deep.save(tmp_path / "m")
    read = TableModel.load(tmp_path / "m")
    pair = [m.members[0].memory.state_dict() for m in (deep, read)]
    assert all(torch.equal(value, pair[1][name]) for name, value in pair[0].items())
    assert np.array_equal(
        read.predict(waves(1, seed=3))["y"].std, deep.predict(waves(1, seed=3))["y"].std
    )
    assert [learnt.how for learnt in read.history] == ["fit", "deep update"]


def test_weights_are_counts_in_what_a_deep_update_minimises(model):
    """A weight of three is three rows: the sum over rows and the Gaussian, over the rows."""
    from counterpoint.table.fit._losses import make_source
    from counterpoint.table.update._deep import DeepUpdateData, _goals
    from counterpoint.table.update._rows import prepare_rows, read_rows

    member, table = model.members[0], waves(1, seed=3)
    moved = deepcopy(member.network)
    with torch.no_grad():
        moved.heads[0].bias += 0.1

    def objective(prepared, rows):
        lessons = DeepUpdateData(prepared, rows, prepared, rows[:0], with_exemplars=False)
        goals = _goals(lessons, member.posterior.noise, member.memory, 1.0)
        found = goals(moved.eval(), make_source(prepared, rows).whole)
        return {name: len(rows) * value.item() for name, value in found.items()}

    prepared = prepare_rows(read_rows(model, table))
    rows = torch.arange(300)
    target = prepared.targets[0]
    heavy = replace(prepared, targets=(replace(target, weight=3 * target.weight),))
    one, three = objective(prepared, rows), objective(heavy, rows)
    copies = objective(prepared, rows.repeat(3))
    assert three == pytest.approx(copies, rel=1e-5)
    assert three["y"] == pytest.approx(3 * one["y"], rel=1e-5)
    assert three["remember"] == pytest.approx(one["remember"], rel=1e-5)


def test_a_folder_is_gone_on_with_by_the_same_update_alone(model, tmp_path):
    """Of another share to forget, or another model, it is not; nor is the model before touched."""
    before = {n: v.clone() for n, v in model.members[0].memory.state_dict().items()}
    where = Context("new", folder=tmp_path, fingerprint="a")
    told = Update(deep=True)
    first = update_table(model, waves(1, seed=3), told, where)
    again = update_table(model, waves(1, seed=3), told, where)
    assert np.array_equal(first.predict(waves(0))["y"].mean, again.predict(waves(0))["y"].mean)
    with pytest.raises(InputError, match="another"):
        update_table(model, waves(1, seed=3), Update(deep=True, forget=0.9), where)
    after = model.members[0].memory.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_table_may_lack_a_target(fitted):
    table = mixed(40, 3).assign(kind=None)
    after = update_table(fitted, table, Update(deep=True))
    assert after.findings.updates[-1].targets[1].new == {}


def test_without_kept_rows_a_gaussian_tells_what_was_forgotten(deep):
    told = deep.findings.updates[-1].targets[0]
    assert told.source == "Gaussian"
    none, lost = told.earlier["loss added, nats a row"]
    assert none == 0
    assert 0 < lost < 1


@pytest.mark.slow
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
