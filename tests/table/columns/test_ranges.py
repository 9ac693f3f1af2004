"""Cells that are no plain numbers and still have an order, and those that have none."""

import numpy as np
import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.recipe import Data
from counterpoint.table.columns import Table
from table.columns.planned import plan, said

NAN = float("nan")


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["18-24", "25-34", "35-49", "50+", "n/a"], [21, 29.5, 42, 50, NAN]),
        (["<18", "18 to 24", "25 – 34", "35–49"], [18, 21, 29.5, 42]),
        (["$0-$49,999", "$50,000-$99,999", "$100,000-$199,999"], [24999.5, 74999.5, 149999.5]),
        (["0-50k", "50-100k", "100k-200k"], [25e3, 75e3, 150e3]),
        (["(0, 1]", "(1, 2]", "(2, 4]"], [0.5, 1.5, 3]),
        (["-10 to -5", "-5 to 0", "0 to 5"], [-7.5, -2.5, 2.5]),
        ([pd.Interval(0, 1), pd.Interval(1, 3), pd.Interval(3, 4)], [0.5, 2, 3.5]),
    ],
)
def test_ranges_that_part_a_scale_are_their_middles(cells, numbers):
    table = plan(cells)
    found = table.values["c"].data[: len(cells)]
    np.testing.assert_array_equal(found, numbers)
    assert "the middle of the range" in said(table)
    # later rows need not have them all, nor write them as ranges
    later = pd.DataFrame({"c": [cells[1], "27"], "x": [1.0, 2.0]})
    assert Table.read(later, table.schema).values["c"].data.tolist() == [numbers[1], 27]


@pytest.mark.parametrize(
    "cells", [["3-1", "2-0", "1-4", "0-2"], ["1-0", "0-2", "0-1", "1-2"], ["555-1234", "555-987"]]
)
def test_results_and_numbers_with_a_dash_are_no_ranges(cells):
    assert plan(cells).schema.column("c").kind == "category"


def test_ranges_to_predict_stay_classes():
    frame = pd.DataFrame({"x": np.arange(60) ** 2 % 7, "age": ["18-24", "25-34", "35+"] * 20})
    assert Table.plan(frame, Data(target=("age",))).schema.targets[0].kind == "category"
    told = Data(target=("age",), kinds={"age": "number"})
    assert Table.plan(frame, told).values["age"].data[:3].tolist() == [21, 29.5, 35]


def test_how_long_something_lasts_can_be_predicted_also_below_a_day():
    cells = [f"{n % 5}:{n % 60:02d}:{n % 7:02d}" for n in range(60)]
    frame = pd.DataFrame({"x": np.arange(60) ** 2 % 7, "finish": cells})
    table = Table.plan(frame, Data(target=("finish",)))
    assert table.values["finish"].data[7] == 2 * 3600 + 7 * 60
    assert "column 'finish': '0:00:00' is read as 0 seconds" in said(table)
    # of an input a time of day stays one, unless it is told otherwise
    other = {"target": ("x",), "kinds": {"x": "number"}}
    assert Table.plan(frame, Data(**other)).schema.inputs[0].kind == "date"
    other["kinds"] = {"x": "number", "finish": "number"}
    assert Table.plan(frame, Data(**other)).values["finish"].data[7] == 7620


@pytest.mark.parametrize(
    "cells",
    [
        [f"{n % 4}.{n % 12}.{n % 10}" for n in range(60)],
        [f"10.{n % 12}.{n}.1" for n in range(60)],
        [f"{n % 9}-{n % 5}-{n % 30}" for n in range(60)],
    ],
)
def test_versions_and_addresses_are_no_dates(cells):
    table = plan(cells)
    assert table.schema.column("c").kind in ("id", "category")
    assert "dates" not in said(table)


@pytest.mark.parametrize("cell", [[1, 2], (1,), {"a": 1}, b"\xff", np.zeros(2)])
def test_cells_of_several_values_are_left_out_and_no_target(cell):
    cells = pd.Series([cell] * 60, dtype=object)
    frame = pd.DataFrame({"c": cells, "x": np.arange(60) ** 3 % 17, "y": np.arange(60) ** 2 % 11})
    table = Table.plan(frame, Data(target=("y",), kinds={"y": "number"}))
    assert (table.schema.column("c").kind, table.schema.column("c").role) == ("nested", "ignored")
    with pytest.raises(InputError, match="target 'c': holds lists, records or bytes; write it"):
        Table.plan(frame, Data(target=("c",)))
