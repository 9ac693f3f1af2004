"""A fitted table learns new rows without the old ones."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.posterior import LastLayer, Statistics
from counterpoint.recipe import Network, Posterior, Update
from counterpoint.table import TableModel, fit_table, update_table
from counterpoint.table.fit._context import Context
from counterpoint.table.model._network import compute_features
from counterpoint.table.update._rows import prepare_rows, read_rows
from tables import mixed, prepare_frame, quick

TARGETS = ("price", "kind")
OLD = mixed(240)


def more(rows=60, seed=7, **changes):
    """New rows of the same table."""
    return mixed(rows, seed).assign(**changes)


def features(model, prepared, rows):
    inputs = {name: value[rows] for name, value in prepared.inputs.items()}
    return [compute_features(member.network, inputs) for member in model.members]


def trunk(model):
    return {
        name: value.clone()
        for name, value in model.members[0].network.state_dict().items()
        if name.startswith("trunk")
    }


@pytest.fixture(scope="module")
def updated(fitted):
    return update_table(fitted, more())


def test_the_head_of_a_number_is_that_of_a_fit_to_all_rows(fitted, updated):
    old = prepare_frame(OLD, fitted.recipe)
    new = prepare_rows(read_rows(fitted, more()))
    kept, fresh = (torch.from_numpy(part.rows.train) for part in (old, new))
    parts = [
        (found, part.targets[0].values[rows], part.targets[0].weight[rows])
        for part, rows in ((old, kept), (new, fresh))
        for found in features(fitted, part, rows)
    ]
    together = Statistics.of(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
    noise = updated.members[0].posterior.noise["price"]
    wanted = LastLayer.fit(together, noise=noise)
    grid = torch.cat([part[0] for part in parts])
    found = updated.members[0].posterior.posteriors["price"].predict(grid)
    expected = wanted.predict(grid)
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found.knowledge, expected.knowledge, rtol=1e-8, atol=1e-10)


def test_the_trunk_scales_and_the_model_before_stay(fitted):
    table = more()
    before = fitted.predict(OLD)["price"].mean
    state = torch.random.get_rng_state()
    after = update_table(fitted, table)
    assert torch.equal(state, torch.random.get_rng_state())
    assert np.array_equal(fitted.predict(OLD)["price"].mean, before)
    assert fitted.findings.updates == []
    assert after.schema == fitted.schema
    assert all(torch.equal(value, trunk(after)[name]) for name, value in trunk(fitted).items())
    again = update_table(fitted, table)
    assert np.array_equal(again.predict(OLD)["price"].mean, after.predict(OLD)["price"].mean)


def test_everything_forgotten_is_a_fit_to_the_new_rows(fitted):
    after = update_table(fitted, more(), Update(forget=1.0))
    new = prepare_rows(read_rows(fitted, more()))
    rows = torch.from_numpy(new.rows.train)
    (found,) = features(fitted, new, rows)
    target = new.targets[0]
    wanted = LastLayer.fit(
        Statistics.of(found, target.values[rows], target.weight[rows]),
        noise=after.members[0].posterior.noise["price"],
    )
    layer = after.members[0].posterior.posteriors["price"]
    torch.testing.assert_close(layer.mean, wanted.mean, rtol=1e-8, atol=1e-10)


def noisy(rows=120):
    loud = more(rows)
    loud["price"] += 6 * np.random.default_rng(0).normal(size=len(loud))
    return loud


@pytest.mark.parametrize("deep", [False, True])
def test_the_noise_is_a_mean_by_rows(fitted, deep):
    """By weights; of a deep update it is estimated from one part, and counts for all."""
    table = noisy()
    old = fitted.members[0].posterior.noise["price"]
    found = {
        f: update_table(fitted, table, Update(forget=f, deep=deep))
        .members[0]
        .posterior.noise["price"]
        for f in ((0.0,) if deep else (0.0, 1.0))
    }
    earlier = fitted.counts.columns["price"].weight
    # of all that is forgotten ten rows' worth stays
    least = min(10, earlier)
    rows = prepare_rows(read_rows(fitted, table)).targets[0].weight.sum().item()
    if deep:
        fresh = ((earlier + rows) * found[0.0] - earlier * old) / rows
        scale = fitted.schema.column("price").features[0].scale
        assert fresh * scale**2 == pytest.approx(36 + 0.25, rel=0.6)
        return
    fresh = ((least + rows) * found[1.0] - least * old) / rows
    wanted = (earlier * old + rows * fresh) / (earlier + rows)
    assert found[0.0] == pytest.approx(wanted, rel=0.15)


def test_a_row_of_weight_two_is_two_rows(fitted):
    table = more(30)
    twice = pd.concat([table, table]).reset_index(drop=True)
    heavy = table.assign(weight=2 * table.weight)
    found = [
        update_table(fitted, frame).members[0].posterior.posteriors["price"].statistics
        for frame in (twice, heavy)
    ]
    torch.testing.assert_close(found[0].gram, found[1].gram, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[0].cross, found[1].cross, rtol=1e-9, atol=1e-9)


def test_what_was_forgotten_is_measured_without_the_old_rows(fitted, updated):
    told = updated.findings.updates[-1].targets[0]
    assert (told.source, told.earlier_rows) == ("sufficient statistics", 192)
    old = prepare_frame(OLD, fitted.recipe)
    rows = torch.from_numpy(old.rows.train)
    target, (found,) = old.targets[0], features(fitted, old, rows)
    scale = fitted.schema.column("price").features[0].scale
    for model, value in zip((fitted, updated), told.earlier["RMSE"], strict=True):
        mean = model.members[0].posterior.posteriors["price"].predict(found).mean[:, 0]
        error = (target.values[rows][:, 0].double() - mean).square()
        weight = target.weight[rows]
        assert value == pytest.approx(float((weight @ error / weight.sum()).sqrt()) * scale)


def test_what_was_learnt_is_predicted_by_models_that_had_not_learnt_it(fitted):
    table = more(200)
    table["price"] += 4
    told = update_table(fitted, table).findings.updates[-1].targets[0]
    before, after = told.new["RMSE"]
    assert told.new_rows == 200
    assert after < 0.7 * before
    error = (fitted.predict(table)["price"].mean - table.price.to_numpy()) ** 2
    assert before == pytest.approx(np.sqrt(np.average(error, weights=table.weight)))


def test_saved_and_read_back_it_learns_the_same(fitted, updated, tmp_path):
    updated.save(tmp_path / "m")
    read = TableModel.load(tmp_path / "m")
    assert read.findings == updated.findings
    assert read.history == updated.history
    assert np.array_equal(read.predict(OLD)["price"].std, updated.predict(OLD)["price"].std)
    found = [update_table(model, more(seed=9)).predict(OLD) for model in (read, updated)]
    assert np.array_equal(found[0]["price"].mean, found[1]["price"].mean)
    assert np.array_equal(found[0]["kind"].probabilities, found[1]["kind"].probabilities)


def test_one_row_one_class_and_absent_targets_are_welcome(fitted):
    one = update_table(fitted, more().iloc[:1])
    assert one.findings.updates[-1].targets[0].new["RMSE"][1] is None
    same = more()
    same = update_table(fitted, same[same.kind == "big"].reset_index(drop=True))
    assert len(same.schema.column("kind").levels) == 3
    absent = more()
    absent.loc[::2, "kind"] = None
    absent.loc[1::2, "price"] = None
    told = update_table(fitted, absent).findings.updates[-1].targets
    assert [target.new_rows for target in told] == [30, 30]


def test_rows_marked_as_test_are_not_learnt():
    marked = mixed().assign(part=np.where(np.arange(240) % 5 == 0, "test", "train"))
    model = fit_table(marked, quick(target=("price",), split="part", ignore=("junk", "kind")))
    table = more(60).assign(part=np.where(np.arange(60) % 2 == 0, "test", "train"))
    told = update_table(model, table).findings.updates[-1]
    assert told.rows == 30
    assert any("30 of 60 rows were not learnt" in note for note in told.notes)
    assert update_table(model, table.drop(columns="part")).history[-1].rows == 60


def test_groups_stay_together_where_the_fit_kept_them_so():
    from counterpoint.table.update._rows import folds_of

    groups = np.arange(60) // 12
    folds = folds_of(torch.arange(60), 0, groups)
    assert [len(set(groups[fold])) for fold in folds] == [1] * 5


def test_what_is_said_of_new_rows_is_of_the_model_that_is_delivered(fitted):
    """With the noise that it has then; and it is said that the noise is another."""
    after = update_table(fitted, noisy(200))
    told = after.findings.updates[-1]
    _, claimed = told.targets[0].new["log likelihood"]
    fresh = noisy(200)
    fresh["price"] = mixed(200, 7).price + 6 * np.random.default_rng(5).normal(size=200)
    found = after.predict(fresh)["price"]
    actual = fresh.price.to_numpy()
    log = -0.5 * ((actual - found.mean) / found.std) ** 2 - np.log(found.std) - 0.919
    assert claimed == pytest.approx(np.average(log, weights=fresh.weight), abs=0.25)
    assert any("standard deviation of its noise was" in note for note in told.notes)


def test_sums_of_squares_count_only_while_no_trunk_has_moved(fitted):
    deep = update_table(fitted, more(40), Update(deep=True))
    told = update_table(deep, more(40, 9)).findings.updates[-1].targets[0]
    assert told.source == "Gaussian"


def test_one_far_cell_is_a_cell(fitted):
    table = more()
    table.loc[0, "size"] = -999999.0
    assert update_table(fitted, table).history[-1].rows == 60
    table.loc[3, "price"] = 1e300
    with pytest.raises(InputError, match=r"row 4, column 'price': 1e\+300 is more than a million"):
        update_table(fitted, table)


def test_a_table_is_not_learnt_twice(fitted):
    where = Context("new.csv", fingerprint="abc")
    after = update_table(fitted, more(), context=where)
    with pytest.raises(InputError, match=r"new\.csv: was learnt before, as new\.csv \(update, 60"):
        update_table(after, more(), context=where)
    twice = update_table(after, more(), Update(again=True), where)
    assert [learnt.how for learnt in twice.history] == ["fit", "update", "update"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.rename(columns={"size": "sise"}), "lacks 'size'.*did you mean 'sise'"),
        (lambda f: f.drop(columns="price"), "lacks 'price', which is predicted"),
        (lambda f: f.drop(columns="weight"), "lacks 'weight', which says how much"),
        (lambda f: f.assign(size="tall"), "row 1, column 'size': expected a number, found 'tall'"),
        (lambda f: f.assign(shade=range(len(f))), "column 'shade': holds numbers such as '0'"),
        (lambda f: f.assign(price=np.nan, kind=None), "no row to learn from: in each of 60 rows"),
        (lambda f: f.iloc[:0], "holds no rows"),
        (lambda f: f.assign(kind="giant"), "'kind': every row is of a class that the model does"),
    ],
)
def test_bad_tables_are_refused(fitted, change, message):
    with pytest.raises(InputError, match=message):
        update_table(fitted, change(more()))


def test_bad_settings_are_refused(fitted):
    with pytest.raises(InputError, match="forget: expected a share from 0 to 1, found 1.5"):
        Update(forget=1.5)
    with pytest.raises(InputError, match="keep_sample: expected 0 rows or more, found -1"):
        Update(keep_sample=-1)
    with pytest.raises(InputError, match="--deep needs at least 10 rows with a target, found 9"):
        update_table(fitted, more().iloc[:9], Update(deep=True))
    bare = replace(fitted, counts=None)
    with pytest.raises(InputError, match="holds nothing of its earlier rows"):
        update_table(bare, more())


@pytest.mark.parametrize(
    ("kind", "deep", "message"),
    [("ensemble", False, "no head that could learn alone; pass --deep"),
     ("laplace", True, "cannot be updated; fit it again with all rows")],
)  # fmt: skip
def test_kinds_that_cannot_are_refused(fitted, kind, deep, message):
    recipe = replace(fitted.recipe, network=Network(members=2))
    other = replace(fitted, recipe=replace(recipe, posterior=Posterior(uncertainty=kind)))
    with pytest.raises(InputError, match=message):
        update_table(other, more(), Update(deep=deep))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["luna", "ensemble"])
def test_a_deep_update_of_other_kinds(kind):
    recipe = quick(target=("price",), ignore=("junk", "kind", "sold"))
    posterior = Posterior(uncertainty=kind, heads=3)
    network = replace(recipe.network, members=2, width=16)
    model = fit_table(OLD, replace(recipe, network=network, posterior=posterior))
    table = more(120)
    table["price"] += 4
    told = update_table(model, table, Update(deep=True)).findings.updates[-1]
    before, after = told.targets[0].new["RMSE"]
    assert told.deep
    assert after < before
