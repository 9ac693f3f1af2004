"""Numbers that repeat are levels, too."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.recipe import Data, Network, Recipe, Training
from counterpoint.table import fit_table
from counterpoint.table.columns import Schema, Table
from counterpoint.table.columns._repeated import find_repeated

GAIN = np.repeat([0.0, 0.1, 7298.0], [500, 300, 200])


def learnt(cells, repeated=256, weights=None, **data):
    frame = pd.DataFrame({"c": cells, "y": np.arange(len(cells)) % 7.0})
    weights = np.ones(len(cells)) if weights is None else weights
    table = Table.plan(frame, Data(target=("y",), kinds={"c": "number"}, **data))
    return table.learnt(np.arange(len(cells)), weights, bins=4, repeated=repeated)


def codes(schema, cells):
    frame = pd.DataFrame({"c": pd.Series(cells, dtype=object)})
    return Table.read(frame, schema).encode()["categories"][:, 0].tolist()


def test_each_value_has_a_code_beside_the_number_and_its_bins():
    column = learnt(GAIN).schema.column("c")
    assert column.repeated == (0.0, 0.1, 7298.0)
    assert column.embeddings[0].labels == ("(missing)", "(unseen)", "0", "0.1", "7298")
    assert column.edges == learnt(GAIN, repeated=0).schema.column("c").edges
    assert codes(learnt(GAIN).schema, [7298, 0, "0.1", None]) == [4, 2, 3, 0]


def test_a_value_that_no_row_had_is_a_number_still():
    fitted = learnt(GAIN)
    later = Table.read(pd.DataFrame({"c": [5000.0, 7297.0, -3.0]}), fitted.schema)
    assert codes(fitted.schema, [5000.0, 7297.0, -3.0]) == [1, 1, 1]
    assert len(set(later.encode()["numbers"][:, 0].tolist())) == 3
    assert fitted.schema.column("c").unseen(later.values["c"]) == 0


def test_float32_and_few_digits_are_the_same_value():
    fitted = learnt(GAIN).schema
    assert codes(fitted, [float(np.float32(0.1)), 0.10000000001, 7298.0001]) == [3, 3, 4]


@pytest.mark.parametrize("kept", [0.0, 4.0])
def test_one_value_alone_that_repeats(kept):
    column = learnt(np.append(np.full(800, kept), [kept + 1.0, kept + 2.0])).schema.column("c")
    assert column.repeated == (kept,)
    fitted = Schema((column,))
    assert codes(fitted, [kept, kept - 1e-9 * kept, kept + 1.0, None]) == [2, 2, 1, 0]


def test_where_few_rows_repeat_there_are_none():
    assert learnt(GAIN[::2]).schema.column("c").repeated == ()
    assert learnt(np.arange(1000.0) % 300).schema.column("c").repeated == ()
    assert learnt(GAIN, repeated=2).schema.column("c").repeated == ()
    assert find_repeated(np.zeros(0), 256) == ()


def test_rows_of_weight_zero_are_not_counted():
    weights = np.ones(1000)
    weights[-200:] = 0.0
    assert learnt(GAIN, weights=weights).schema.column("c").repeated == ()
    weights[-1:] = 0.5
    assert learnt(GAIN, weights=weights).schema.column("c").repeated == (0.0, 0.1)


def test_of_two_values_the_number_says_all():
    assert learnt(np.arange(1000) % 2.0).schema.column("c").repeated == ()


def test_a_target_and_a_date_have_none():
    frame = pd.DataFrame({"y": GAIN, "day": pd.to_datetime("2024-01-01")})
    frame.loc[::2, "day"] = pd.Timestamp("2024-02-01")
    frame.loc[::3, "day"] = pd.Timestamp("2024-03-01")
    table = Table.plan(frame, Data(target=("y",))).learnt(np.arange(1000), np.ones(1000), 4, 256)
    assert [column.repeated for column in table.schema.columns] == [(), ()]


def test_it_survives_json_and_columns_of_before_have_none():
    schema = learnt(GAIN).schema
    plain = json.loads(json.dumps(schema.to_json()))
    assert Schema.from_json(plain) == schema
    del plain[0]["repeated"]
    assert Schema.from_json(plain).column("c").repeated == ()


def test_an_update_leaves_the_codes_as_they_are():
    schema = learnt(GAIN).schema
    later = pd.DataFrame({"c": np.full(900, 3.5), "y": np.arange(900.0)})
    grown = Table.read(later, schema, learn=True).grown(np.arange(900))
    assert grown.schema == schema
    assert set(grown.encode()["categories"][:, 0].tolist()) == {1}


def test_it_learns_what_lies_between_its_neighbours():
    """Every other value is high: a line sees nothing of it, and there are no bins to see it."""
    value = np.arange(1200) % 5.0
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"c": value, "y": value % 2 + 0.1 * draw.normal(size=1200)})
    errors = []
    for repeated in (256, 0):
        network = Network(members=1, width=8, depth=1, bins=0, repeated=repeated)
        recipe = Recipe(
            Data(target=("y",), split="none"),
            network,
            Training(epochs=12, batch_size=64, rate=0.02),
        )
        model = fit_table(frame, recipe, evaluate=False)
        assert bool(model.schema.embeddings) == bool(repeated)
        error = model.predict(frame[:100])["y"].mean - value[:100] % 2
        errors.append(float(np.sqrt(np.mean(error**2))))
    assert errors[0] < 0.1 < 0.2 < errors[1]


def test_a_model_keeps_it(tmp_path):
    frame = pd.DataFrame({"c": GAIN, "y": (np.arange(1000) % 7).astype(float)})
    network = Network(members=1, width=8, depth=1)
    recipe = Recipe(Data(target=("y",)), network, Training(epochs=1, batch_size=256))
    model = fit_table(frame, recipe)
    model.save(tmp_path / "m")
    again = type(model).load(tmp_path / "m")
    probe = pd.DataFrame({"c": [0.0, 7298.0, 40.0]})
    first, second = (one.predict(probe)["y"].mean for one in (model, again))
    assert np.array_equal(first, second)
    tables = [one.members[0].network.embeddings.weights[0] for one in (model, again)]
    assert torch.equal(*tables)


def test_a_value_between_two_that_are_known_is_read_as_a_number():
    """Its neighbours have vectors and it has none; rows hidden in training say what to do then."""
    draw = np.random.default_rng(0)
    value, other = draw.integers(0, 6, 1500).astype(float), draw.normal(size=1500)
    frame = pd.DataFrame({"c": value, "x": other, "y": np.cos(value) + 0.3 * other})
    recipe = Recipe(
        Data(target=("y",), split="none"),
        Network(members=1, width=32, dropout=0.0),
        Training(epochs=15, batch_size=64, rate=0.01),
    )
    model = fit_table(frame, recipe, evaluate=False)
    between = pd.DataFrame({"c": np.arange(5) + 0.5, "x": np.zeros(5)})
    found = model.predict(between)["y"].mean
    ends = np.cos(np.arange(6.0))
    assert np.abs(found - (ends[1:] + ends[:-1]) / 2).max() < 0.25
