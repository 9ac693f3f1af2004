"""New levels, new classes, shifts and kept rows."""

import numpy as np
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.recipe import Update
from counterpoint.table import fit_table, update_table
from counterpoint.table.columns import Table
from counterpoint.table.model._exemplars import Exemplars
from counterpoint.table.update._shift import measure_shifts
from tables import mixed, prepare_frame, quick

RECIPE = {"target": ("price", "kind"), "weight": "weight", "ignore": ("junk",)}


def red(rows=120, seed=3):
    """A third is red, and costs 9 more than light does."""
    table = mixed(rows, seed)
    table["price"] -= 5 * (table["shade"] == "dark")
    table.loc[::3, "shade"] = "red"
    table["price"] += 5 * (table["shade"] == "dark") + 9 * (table["shade"] == "red")
    return table


def test_a_new_level_gets_a_vector_and_old_ones_stay(fitted):
    after = update_table(fitted, red())
    assert after.schema.column("shade").levels == ("dark", "light", "red")
    old, new = (m.members[0].network.embeddings.weights[0] for m in (fitted, after))
    assert torch.equal(new[:4], old)
    assert not torch.equal(new[4], old[1])
    table = red(200, 4)
    rows = table["shade"] == "red"
    wrong = [
        float(np.abs(m.predict(table)["price"].mean - table.price)[rows].mean())
        for m in (fitted, after)
    ]
    assert wrong[1] < 0.6 * wrong[0]


def test_levels_of_old_rows_are_predicted_as_if_the_new_one_were_not_there(fitted):
    """With everything but the vectors held, growing alone changes nothing of what was known."""
    from counterpoint.table.update._grow import grow_network
    from counterpoint.table.update._rows import read_rows

    schema = read_rows(fitted, red()).schema
    network = fitted.members[0].network
    grown = grow_network(network, fitted.schema, schema, fitted.recipe)
    codes = torch.tensor([[0], [1], [2], [3]])
    numbers = torch.zeros(4, len(schema.edges))
    with torch.no_grad():
        pairs = zip(network(codes, numbers).values(), grown(codes, numbers).values(), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)
        unseen, new = grown.features(torch.tensor([[1], [4]]), numbers[:2])
    torch.testing.assert_close(unseen, new)


def test_a_level_seen_once_stays_unseen_where_rows_are_many(fitted):
    table = mixed(60, 3)
    table.loc[0, "shade"] = "teal"
    after = update_table(fitted, table)
    assert "teal" not in after.schema.column("shade").levels
    assert "teal" in update_table(fitted, table.iloc[:20]).schema.column("shade").levels


def huge(rows=150, seed=3):
    table = mixed(rows, seed)
    table.loc[table["size"] > 1.2, "kind"] = "huge"
    return table


def test_a_new_class_widens_the_head(fitted):
    after = update_table(fitted, huge())
    told = after.findings.updates[-1].targets[1]
    assert after.schema.column("kind").levels == ("big", "middle", "small", "huge")
    assert told.classes == {"huge": int((huge().kind == "huge").sum())}
    assert told.recognised > 0.5
    found = after.predict(huge(seed=5))["kind"]
    assert found.probabilities.sum(1) == pytest.approx(1.0)
    assert np.mean(found.best == huge(seed=5).kind) > 0.6


@pytest.fixture(scope="module")
def keeping():
    return fit_table(mixed(), quick(**RECIPE, keep_sample=30))


def test_rows_of_a_new_class_alone_need_kept_ones(fitted, keeping):
    alone = huge()
    alone = alone[alone.kind == "huge"].reset_index(drop=True)
    with pytest.raises(InputError, match="every row is of a class that the model does not know"):
        update_table(fitted, alone)
    after = update_table(keeping, alone)
    small = after.predict(mixed(100, 8)[lambda f: f["size"] < 0].reset_index(drop=True))["kind"]
    assert np.mean(small.best == "huge") < 0.1
    assert after.findings.updates[-1].notes == []


def counts_of(fitted, frame):
    table = Table.read(frame, fitted.schema, learn=True)
    return table.count(np.arange(len(frame)), np.ones(len(frame)))


def shifts_of(fitted, table):
    before, now = counts_of(fitted, mixed()), counts_of(fitted, table)
    return {shift.column: shift for shift in measure_shifts(fitted.schema, before, now)}


def test_rows_of_the_same_kind_have_not_moved(fitted):
    alarms = 0
    for seed in range(40):
        found = shifts_of(fitted, mixed(100, seed + 50))
        alarms += sum(shift.moved for name, shift in found.items() if name != "sold")
    assert alarms <= 2


def test_what_moved_is_told_with_its_size(fitted):
    table = mixed(200, 9)
    table["size"] += 1.5
    table["shade"] = np.where(np.arange(200) % 4 == 0, "dark", "light")
    found = shifts_of(fitted, table)
    assert found["size"].moved
    assert found["size"].after - found["size"].before == pytest.approx(1.5, abs=0.2)
    assert found["shade"].moved
    assert found["shade"].level == "light" or found["shade"].level == "dark"
    gone = mixed(200, 9).assign(size=np.nan)
    assert shifts_of(fitted, gone)["size"].moved
    assert shifts_of(fitted, gone)["size"].after is None


def test_a_distance_is_that_of_the_shares(fitted):
    table = mixed(4000, 9)
    before = mixed()["shade"].fillna("(missing)").value_counts(normalize=True)
    now = table["shade"].fillna("(missing)").value_counts(normalize=True)
    wanted = 0.5 * float(np.abs(before - now).sum())
    assert shifts_of(fitted, table)["shade"].distance == pytest.approx(wanted)


def test_counts_add_and_fade(fitted):
    parts = [counts_of(fitted, mixed(50, seed)) for seed in (1, 2)]
    both = parts[0].joined(parts[1], 0.5)
    assert both.columns["size"].rows == pytest.approx(75)
    whole = parts[0].joined(parts[1])
    import pandas as pd

    frame = pd.concat([mixed(50, 1), mixed(50, 2)], ignore_index=True)
    wanted = counts_of(fitted, frame)
    assert whole.columns["size"].counts == wanted.columns["size"].counts
    assert whole.columns["price"].weight == 100


def test_a_column_that_did_not_vary_and_now_has_another_value_has_moved():
    table = mixed().assign(junk=1.0)
    model = fit_table(table, quick(**{**RECIPE, "ignore": ("sold",)}))
    shift = next(
        s
        for s in update_table(model, mixed(60, 3).assign(junk=7.0)).findings.updates[-1].shifts
        if s.column == "junk"
    )
    assert (shift.before, shift.after, shift.moved, shift.distance) == (1.0, 7.0, True, 1.0)


def test_a_level_is_learnt_wherever_its_rows_are(fitted):
    from counterpoint.seeding import derive
    from counterpoint.table.update._rows import folds_of

    table = mixed(100, 3)
    last = folds_of(torch.arange(100), derive(fitted.recipe.training.seed, 4))[-1].numpy()
    table.loc[last[:4], "shade"] = "teal"
    table.loc[last[:4], "price"] += 30
    after = update_table(fitted, table)
    vectors = after.members[0].network.embeddings.weights[0]
    assert after.schema.column("shade").levels[-1] == "teal"
    assert not torch.equal(vectors[-1], vectors[1])


def test_a_new_class_leaves_the_numbers_as_they_were_with_kept_rows_too(keeping):
    after = update_table(keeping, huge())
    counts = [m.members[0].posterior.posteriors["price"].statistics.count for m in (keeping, after)]
    assert counts[1] - counts[0] == 150


def test_kept_rows_stand_for_all_rows_learnt():
    model = fit_table(mixed(), quick(**RECIPE, keep_sample=500))
    assert (len(model.exemplars.stands), float(model.exemplars.stands.sum())) == (48, 192)
    after = update_table(model, mixed(60, 3), Update(forget=0.5))
    assert float(after.exemplars.stands.sum()) == pytest.approx(96 + 60)
    assert len(after.exemplars.stands) == 108
    assert update_table(after, mixed(60, 4), Update(forget=1.0)).exemplars.stands.sum() == 60


def test_kept_rows_are_bounded_and_every_row_is_as_likely():
    prepared = prepare_frame(mixed(), quick(**RECIPE))
    rows = torch.arange(100)
    first, second = rows[:80], rows[80:]
    late = 0
    for seed in range(60):
        kept = Exemplars.of(prepared, first, 20, seed)
        kept = kept.joined(Exemplars.of(prepared, second, 20, seed + 1000), 20, seed)
        assert len(kept.stands) == 20
        assert float(kept.stands.sum()) == pytest.approx(100)
        marks = set(prepared.targets[0].values[second, 0].tolist())
        late += sum(value in marks for value in kept.values[0][:, 0].tolist())
    # 20 of 100 rows are late, so that 240 of the 1,200 that are drawn are, give or take 14
    assert 200 < late < 280


def test_kept_rows_tell_what_was_forgotten(keeping):
    after = update_table(keeping, mixed(40, 3))
    told = after.findings.updates[-1].targets[0]
    assert (told.source, told.earlier_rows) == ("kept rows", 30)
    assert len(after.exemplars.stands) == 30
    assert update_table(after, mixed(40, 4), Update(keep_sample=0)).exemplars is None
