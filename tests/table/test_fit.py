"""Fitting, predicting, and keeping a model of a table."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.findings import Findings
from counterpoint.plain import from_plain, to_plain
from counterpoint.posterior import CategoricalPredictive, Predictive
from counterpoint.table import CategoryPrediction, NumberPrediction, TableModel, fit_table, to_frame
from counterpoint.table.evaluate._importance import measure_importance
from counterpoint.table.evaluate._measures import (
    category_measures,
    covered,
    reliable,
)
from counterpoint.table.targets._category import CategoryHead
from counterpoint.table.targets._number import NumberHead
from tables import mixed, quick


def test_it_learns_what_the_table_says(fitted):
    price, kind = fitted.findings.targets
    assert price.metrics["RMSE"] < 0.6 * price.baseline["RMSE"]
    assert price.metrics["log likelihood"] > price.baseline["log likelihood"] + 0.3
    assert kind.metrics["accuracy"] > kind.baseline["accuracy"] + 0.2


def test_targets_are_predicted_in_the_tables_units(fitted, table):
    found = fitted.predict(table)
    assert isinstance(found["price"], NumberPrediction)
    assert isinstance(found["kind"], CategoryPrediction)
    assert np.corrcoef(found["price"].mean, table["price"])[0, 1] > 0.85
    assert found["kind"].probabilities.sum(1) == pytest.approx(1.0)
    assert set(found["kind"].best) <= {"big", "middle", "small"}


def test_a_prediction_needs_neither_targets_nor_weight(fitted, table):
    bare = table[["size", "shade", "sold"]]
    assert np.array_equal(fitted.predict(bare)["price"].mean, fitted.predict(table)["price"].mean)


def test_unseen_values_are_predicted_and_remarked_upon(fitted):
    rows = mixed().iloc[[1, 1]].copy()
    rows.iloc[1, rows.columns.get_loc("shade")] = "plaid"
    found = fitted.predict(rows)["price"]
    assert np.isfinite(found.mean).all()
    assert any("'shade': 1 values that training rows hardly" in r for r in fitted.remarks(rows))


def test_same_seed_same_bits_and_no_global_randomness(table):
    state = torch.get_rng_state()
    one, two = (fit_table(table, quick(), evaluate=False).predict(table)["price"] for _ in "12")
    assert np.array_equal(one.mean, two.mean)
    assert np.array_equal(one.std, two.std)
    assert torch.equal(state, torch.get_rng_state())


def test_weight_zero_rows_teach_nothing(table):
    poisoned = table.assign(weight=1.0)
    poisoned.loc[200:, "weight"] = 0.0
    other = poisoned.copy()
    other.loc[200:, "price"] = -other.loc[200:, "price"]
    other.loc[200:, "shade"] = "plaid"
    other.loc[200:, "junk"] = np.nan
    first = fit_table(poisoned, quick(weight="weight", split="none"), evaluate=False)
    second = fit_table(other, quick(weight="weight", split="none"), evaluate=False)
    probe = table.iloc[:50]
    assert np.allclose(first.predict(probe)["price"].mean, second.predict(probe)["price"].mean)


def test_the_unit_of_the_weights_does_not_matter(table):
    first = fit_table(table, quick(weight="weight"), evaluate=False)
    heavy = table.assign(weight=table["weight"] * 1024.0)  # a power of two: exact
    second = fit_table(heavy, quick(weight="weight"), evaluate=False)
    assert np.array_equal(first.predict(table)["price"].std, second.predict(table)["price"].std)


def test_a_row_may_lack_one_of_its_targets(table):
    table.loc[::3, "kind"] = None
    model = fit_table(table, quick(target=("price", "kind")))
    assert set(model.predict(table)) == {"price", "kind"}
    assert model.findings.targets[1].metrics["accuracy"] > 0.4


def test_a_folder_gives_the_same_predictions(fitted, table, tmp_path):
    fitted.save(tmp_path / "m", identity="abc")
    loaded = TableModel.load(tmp_path / "m")
    level = 0.9
    one, two = (to_frame(m.predict(table), level) for m in (fitted, loaded))
    pd.testing.assert_frame_equal(one, two, rtol=1e-9)
    assert loaded.findings == fitted.findings
    assert loaded.recipe == fitted.recipe
    assert TableModel.identity(tmp_path / "m") == "abc"


@pytest.mark.parametrize(
    "name", ["network-0.safetensors", "posterior-0-0.safetensors", "columns.json"]
)
def test_a_damaged_folder_is_refused(fitted, tmp_path, name):
    fitted.save(tmp_path / "m")
    file = tmp_path / "m" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="damaged"):
        TableModel.load(tmp_path / "m")


def test_parts_of_another_model_are_refused_even_with_right_hashes(fitted, tmp_path):
    from counterpoint.storage import read_folder, write_folder

    fitted.save(tmp_path / "m")
    folder = read_folder(tmp_path / "m", kind="table model", schema=3)
    names = [name.removesuffix(".safetensors") for name in folder.files if "safetensors" in name]
    columns = folder.document("columns")
    for column in columns:
        if column["name"] == "shade":
            column["levels"].append("extra")
    write_folder(
        tmp_path / "m",
        kind="table model",
        schema=3,
        tensors={name: folder.tensors(name) for name in names},
        documents={"columns": columns, "recipe": folder.document("recipe")},
        texts={"log.jsonl": ""},
        overwrite=True,
    )
    with pytest.raises(InputError, match="parts do not fit together"):
        TableModel.load(tmp_path / "m")


def test_members_mix_by_the_law_of_total_variance():
    target = NumberHead(mean=10.0, scale=2.0)
    ones = torch.ones(1, 1, dtype=torch.float64)
    parts = [Predictive(mean * ones, 0.5 * ones, 0.1 * ones) for mean in (1.0, 3.0)]
    found = target.combine(parts)
    assert found.mean.item() == pytest.approx(2 * 2.0 + 10)
    assert found.knowledge.item() ** 2 == pytest.approx(4 * (0.1 + 1.0))
    assert found.noise.item() ** 2 == pytest.approx(4 * 0.5)


def test_members_mix_their_probabilities():
    target = CategoryHead(("a", "b"))
    p = [torch.tensor([[x, 1 - x]], dtype=torch.float64) for x in (0.9, 0.5)]
    zero = torch.zeros(1, 2, dtype=torch.float64)
    found = target.combine([CategoricalPredictive(part, zero) for part in p])
    assert found.probabilities[0].tolist() == pytest.approx([0.7, 0.3])
    assert found.knowledge[0] == pytest.approx(0.2)


@pytest.mark.parametrize("members", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_intervals_cover_what_they_say(members):
    """On a curved truth the 90 % intervals of new rows hold nine tenths of them, over seeds."""

    def draw(rows, seed):
        make = np.random.default_rng(seed)
        x = make.uniform(-2, 2, (rows, 3))
        y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * make.normal(size=rows)
        return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y})

    inside = []
    for seed in range(3):
        recipe = quick(target=("y",), split="none")
        recipe = replace(
            recipe,
            network=replace(recipe.network, members=members),
            training=replace(recipe.training, epochs=30, seed=seed),
        )
        fresh = draw(2000, 100 + seed)
        low, high = (
            fit_table(draw(400, seed), recipe, evaluate=False).predict(fresh)["y"].interval(0.9)
        )
        inside.append(((fresh["y"] >= low) & (fresh["y"] <= high)).mean())
    assert 0.86 < np.mean(inside) < 0.94


def test_small_units_are_not_constant(table):
    tiny = table.assign(price=table["price"] * 1e-13)
    one, two = (fit_table(t, quick(), evaluate=False).predict(table) for t in (table, tiny))
    assert np.allclose(one["price"].mean * 1e-13, two["price"].mean, rtol=1e-3, atol=1e-16)


def test_numbers_too_large_to_square_are_refused(table):
    with pytest.raises(InputError, match="column 'price': its values are too large"):
        fit_table(table.assign(price=table["price"] * 1e200), quick())


def test_integer_and_repeated_column_names(table):
    bare = table[["size", "junk", "price"]].set_axis([0, 1, 2], axis=1)
    model = fit_table(bare, quick(target=("2",)), evaluate=False)
    assert set(model.predict(bare)) == {"2"}
    with pytest.raises(InputError, match="column '0' stands 2 times"):
        fit_table(bare.set_axis([0, 0, 2], axis=1), quick(target=("2",)))


def test_a_level_that_a_member_was_not_fitted_to_has_the_average_vector(table):
    table["town"] = [f"town {n // 60}" for n in range(240)]
    model = fit_table(table, quick(split="time:sold"), evaluate=False)
    place = [name for name, _ in model.schema.embeddings].index("town")
    column, weight = model.schema.column("town"), model.members[0].network.embeddings.weights[place]
    unseen, last = weight[1], weight[2 + column.levels.index("town 3")]
    # town 3 lies in the held-out and the left-out rows alone, if it is known at all
    assert "town 3" not in column.levels or torch.equal(unseen, last)


def test_the_columns_that_matter_are_named(fitted):
    price = [i.column for i in fitted.findings.importance if i.target == "price"]
    assert set(price[:2]) == {"size", "shade"}


def test_only_the_column_that_counts_is_important(fitted, table):
    from counterpoint.table.columns import Table

    first = Table.read(table, fitted.schema).encode()["numbers"][:, 0].double()

    def losses(slots, orders):
        # only the first number counts, and it counts in its place: sums do not see an order
        moved = first[orders] if 0 in slots.get("numbers", ()) else first.expand(len(orders), -1)
        return {"y": (moved @ torch.arange(240.0).double()).tolist()}

    found = measure_importance(fitted.schema, len(first), losses, repeats=2)
    assert [item.column for item in found if abs(item.mean) > 1e-3] == ["size"]


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_measures_equal_their_definitions():
    part = NumberPrediction(Predictive(column(1, 2), column(0.5, 0.5), column(0.5, 0.5)))
    found = part.measures(column(0, 2)[:, 0], column(1, 3)[:, 0])
    assert found["RMSE"] == pytest.approx(0.5)
    assert found["mean absolute error"] == pytest.approx(0.25)
    assert found["log likelihood"] == pytest.approx(-0.5 * np.log(2 * np.pi) - 0.125)
    p = torch.tensor([[0.8, 0.2], [0.4, 0.6]], dtype=torch.float64)
    found = category_measures(p, torch.tensor([0, 0]), torch.ones(2).double())
    assert found["accuracy"] == 0.5
    assert found["log likelihood"] == pytest.approx(np.log([0.8, 0.4]).mean())
    assert found["Brier score"] == pytest.approx((0.04 * 2 + 0.36 * 2) / 2)


def test_calibration_of_a_perfect_model_is_perfect():
    draw = torch.Generator().manual_seed(0)
    actual = torch.randn(50_000, generator=draw, dtype=torch.float64)
    ones = torch.ones(50_000, 1, dtype=torch.float64)
    found = covered(torch.special.ndtr(actual), ones[:, 0])
    assert found.observed == pytest.approx(found.nominal, abs=0.01)
    p = 0.5 + 0.5 * torch.rand(50_000, generator=draw, dtype=torch.float64)
    hit = (torch.rand(50_000, generator=draw) > p).long()
    table = reliable(torch.stack([p, 1 - p], 1), hit, ones[:, 0])
    assert table.error < 0.005
    assert table.confidence[0] is None
    assert sum(table.count) == 50_000


def test_a_calibration_error_has_chance_taken_out_and_is_none_of_one_row():
    p = torch.full((40,), 0.75, dtype=torch.float64)
    labels = (torch.arange(40) % 8 > 4).long()  # 25 of 40 come true
    both, ones = torch.stack([p, 1 - p], 1), torch.ones(40, dtype=torch.float64)
    chance = 0.625 * 0.375 / 39
    assert reliable(both, labels, ones).error == pytest.approx((0.125**2 - chance) ** 0.5)
    assert reliable(both, (torch.arange(40) % 4 > 2).long(), ones).error == 0.0
    assert reliable(both[:1], labels[:1], ones[:1]).error is None


@pytest.mark.parametrize(
    ("change", "data", "message"),
    [
        (lambda t: t.iloc[:4], {}, "at least 10 rows with a target are needed, found 4"),
        (lambda t: t.assign(price=1.0), {}, "target 'price': does not vary"),
        (lambda t: t.assign(price=None), {}, "target 'price': every value is missing"),
        (lambda t: t, {"target": ("prize",)}, "no column 'prize'; did you mean 'price'"),
        (lambda t: t.assign(weight=-t.weight), {"weight": "weight"}, "a weight of at least 0"),
        (lambda t: t.assign(weight=0.0), {"weight": "weight"}, "every weight is zero"),
        (lambda t: t.assign(junk=np.inf), {}, "expected a finite number"),
        (lambda t: t[["price"]], {}, "no column is left to predict from"),
    ],
)
def test_bad_tables_are_refused(table, change, data, message):
    with pytest.raises(InputError, match=message):
        fit_table(change(table), quick(**data))


def test_no_held_out_rows_no_claims(table):
    findings = fit_table(table, quick(split="none")).findings
    assert findings.targets[0].metrics == {}
    assert any("no rows were held out" in note for note in findings.notes)


def test_findings_are_json_without_nan(fitted):
    text = json.dumps(to_plain(fitted.findings), allow_nan=False)
    assert from_plain(Findings, json.loads(text)) == fitted.findings


def test_a_category_is_less_sure_when_the_left_out_rows_say_so():
    """Labels drawn by lot: whatever the trunk memorised, new rows are a matter of chance."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(300, 6)), columns=list("abcdef"))
    frame["y"] = draw.choice(["no", "yes"], 300)
    model = fit_table(frame, quick(target=("y",), split="none"), evaluate=False)
    fresh = pd.DataFrame(draw.normal(size=(500, 6)), columns=list("abcdef"))
    probability = model.predict(fresh)["y"].probabilities.max(1)
    assert probability.mean() < 0.62
