"""What is said of a table before anything is learnt from it."""

import numpy as np
import pandas as pd
import pytest

from counterpoint.recipe import Data
from counterpoint.table.columns import Table

OTHER = np.random.default_rng(2).uniform(1, 5, size=60)


def numbered(cells):
    frame = pd.DataFrame({"c": cells, "y": np.arange(len(cells)) ** 2 % 11})
    return Table.plan(frame, Data(target=("y",), kinds={"y": "number"}))


def said(table):
    return " | ".join(table.remarks)


def test_rows_numbered_in_another_order_are_named_and_days_are_not():
    order = np.random.default_rng(0).permutation(60)
    assert "numbers its rows from 1000 to 1059 in some order; --ignore c" in said(
        numbered([str(1000 + n) for n in order])
    )
    assert not numbered([str(np.datetime64("2024-01-01") + n) for n in order]).remarks


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"c": lambda y: y}, "column 'c': equals the target 'y' in every row; --ignore c"),
        ({"c": lambda y: 3 - 2.54 * y}, "column 'c': is a multiple of the target 'y'"),
        ({"c": lambda y: y + OTHER, "d": lambda y: OTHER}, "target 'y': is 'c' minus 'd' in every"),
        ({"c": lambda y: y * OTHER, "d": lambda y: OTHER}, "target 'y': is 'c' over 'd' in every"),
    ],
)
def test_a_target_that_stands_in_the_table_is_named(columns, sentence):
    y = np.random.default_rng(1).normal(size=60)
    frame = pd.DataFrame({name: make(y) for name, make in columns.items()}).assign(y=y)
    assert sentence in said(Table.plan(frame, Data(target=("y",))))
    noisy = frame.assign(y=y + 1e-6 * OTHER)
    assert not Table.plan(noisy, Data(target=("y",))).remarks


def test_a_target_that_is_the_time_between_two_days_is_named():
    start = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(60) ** 2 % 37, "D")
    length = np.arange(60) ** 2 % 41 + 3
    frame = pd.DataFrame({"a": start, "b": start + pd.to_timedelta(length, "D"), "y": length})
    table = Table.plan(frame, Data(target=("y",), kinds={"y": "number"}))
    assert "target 'y': is 'b' minus 'a' in every row" in said(table)


def test_a_column_of_one_value_is_named():
    frame = pd.DataFrame(
        {"a": ["b"] * 60, "k": 3.0, "g": [1.0, None] * 30, "x": OTHER, "y": OTHER[::-1] ** 2}
    )
    found = said(Table.plan(frame, Data(target=("y",))))
    assert "column 'a': is 'b' in every row, so nothing can be learnt of it" in found
    assert "column 'k': is '3' in every row, so" in found
    assert "column 'g'" not in found


def test_rows_that_weigh_nothing_are_counted():
    frame = pd.DataFrame({"w": [0.0, 1.0, 2.0] * 20, "x": OTHER, "y": OTHER[::-1] ** 2})
    found = said(Table.plan(frame, Data(target=("y",), weight="w")))
    assert "weight 'w': is 0 in 20 of 60 rows, which are neither learnt from nor held out" in found
