"""From cells to tensors, by what the training rows taught."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.recipe import Data, Recipe
from counterpoint.table.columns import RawColumn, Schema, Table
from counterpoint.table.columns._numeric import find_edges
from tables import mixed, prepare_frame


def learn_schema(frame, rows, bins=0, **data):
    table = Table.plan(frame, Data(**data))
    return table.learnt(np.arange(rows), np.ones(len(frame)), bins).schema


def encode_inputs(schema, frame):
    return Table.read(frame, schema).encode()


@pytest.fixture
def schema():
    return learn_schema(mixed(), 200, 4, target=("price",), ignore=("kind", "weight"))


def test_training_rows_are_standardised(schema):
    numbers = encode_inputs(schema, mixed())["numbers"][:200]
    junk = numbers[:, 1]
    assert float(junk.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(junk.std(correction=0)) == pytest.approx(1.0, abs=1e-5)


def test_missing_numbers_are_average_with_an_indicator(schema):
    numbers = encode_inputs(schema, mixed())["numbers"]
    size, gap = numbers[:, 0], numbers[:, -1]
    assert torch.equal(gap.nonzero()[:, 0], torch.arange(0, 240, 10))
    assert torch.all(size[::10] == 0.0)


def test_missing_unseen_and_known_categories_have_codes_of_their_own(schema):
    frame = mixed()
    frame.loc[0, "shade"] = "plaid"
    codes = encode_inputs(schema, frame)["categories"][:, 0]
    assert codes[0] == 1
    assert codes[5] == 0
    assert set(codes.tolist()) == {0, 1, 2, 3}


def test_a_level_seen_once_trains_the_embedding_of_unseen_levels():
    frame = mixed()
    frame.loc[3, "shade"] = "plaid"
    schema = learn_schema(frame, 240, target=("price",))
    assert schema.column("shade").levels == ("dark", "light")


def test_columns_are_found_by_name_in_any_order(schema):
    frame = mixed()
    shuffled = frame[sorted(frame.columns, reverse=True)]
    one, two = encode_inputs(schema, frame), encode_inputs(schema, shuffled)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_column_that_is_absent_is_named(schema):
    frame = mixed().rename(columns={"size": "sizes"})
    with pytest.raises(InputError, match="lacks 'size'.*did you mean 'sizes'"):
        encode_inputs(schema, frame)


def test_a_column_of_another_kind_is_named(schema):
    frame = mixed().astype({"junk": object})
    frame.loc[7, "junk"] = "none of it"
    with pytest.raises(InputError, match="row 8, column 'junk': expected a number, found 'none of"):
        encode_inputs(schema, frame)


def test_a_schema_survives_json(schema):
    import json

    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_classes_that_no_training_row_had_count_as_missing():
    column = learn_schema(mixed(), 200, target=("kind",)).column("kind")
    values = column.parse(RawColumn("kind", pd.Series(["big", "giant", None])))
    codes, known = column.head.read(column.encode(values))
    assert codes.tolist() == [0, 0, 0]
    assert known.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", None), ("kind", "zz"), ("role", 3), ("levels", {}), ("levels", [1]),
        ("features", [{"part": [], "mean": 0.0, "scale": 1.0, "edges": []}]),
        ("features", [{"part": "value", "mean": None, "scale": 1.0, "edges": []}]),
        ("features", []),
    ],
)  # fmt: skip
def test_a_schema_made_by_hand_is_refused(schema, name, value):
    columns = schema.to_json()
    columns[0][name] = value  # the first column is a number
    with pytest.raises((TypeError, ValueError, KeyError)):
        Schema.from_json(columns)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, -2.0], "row 2, column 'w': expected a weight of at least 0, found -2"),
        ([1.0, None], "row 2, column 'w': expected a weight, found no value"),
        ([0.0, 0.0], "weight column 'w': every weight is zero"),
        ([1.0, np.inf], "row 2, column 'w': expected a finite number"),
    ],
)
def test_weights_that_cannot_be_used(values, message):
    frame = pd.DataFrame({"w": values, "x": [1.0, 2.0], "y": [1.0, 3.0]})
    with pytest.raises(InputError, match=message):
        prepare_frame(frame, Recipe(Data(target=("y",), weight="w")))


def test_too_many_levels():
    rows = 30_000
    frame = pd.DataFrame({"c": [f"l{n // 2}" for n in range(rows)], "y": np.arange(rows) ** 0.5})
    with pytest.raises(InputError, match="column 'c': 15,000 levels; a category has at m"):
        learn_schema(frame, rows, target=("y",), kinds={"c": "category"})


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=200), st.integers(1, 12))
def test_edges_increase_and_enclose_the_values(values, bins):
    value = np.array(values, dtype=float)
    edges = find_edges(value, np.ones(len(value)), bins)
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= max(bins, 1) + 1 or len(np.unique(value)) == 1
    assert edges[0] == value.min()
    assert edges[-1] == value.max()


def test_a_value_that_fills_the_column_costs_one_bin():
    value = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    edges = find_edges(value, np.ones(1000), 8)
    assert len(edges) == 9


def test_a_weight_of_two_is_the_row_twice():
    value = np.random.default_rng(0).normal(size=50).round(1)
    weight = np.random.default_rng(1).integers(0, 4, 50)
    kept = weight > 0
    one = find_edges(value[kept], weight[kept].astype(float), 6)
    two = find_edges(np.repeat(value, weight), np.ones(weight.sum()), 6)
    assert one.tolist() == two.tolist()


def test_so_many_numbers_share_their_bins():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(60, 513)), columns=[f"c{n}" for n in range(513)])
    recipe = Recipe(data=Data(target=("c0",)))
    assert {len(edges) - 1 for edges in prepare_frame(frame, recipe).schema.edges} == {8}
    few = prepare_frame(frame[[f"c{n}" for n in range(5)]], recipe).schema.edges
    assert min(map(len, few)) > 20
