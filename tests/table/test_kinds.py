"""What a column is taken for."""

import numpy as np
import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.recipe import Data
from counterpoint.table.dates import date_parts, find_format
from counterpoint.table.kinds import infer_kind, to_dates, to_levels, to_numbers
from counterpoint.table.learn import plan_columns

LONG = 60


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", "-3e4", None], "number"),
        ([1.0, 2.0, 2.0], "number"),
        (["yes", "no", None], "boolean"),
        (["TRUE", "false"], "boolean"),
        ([True, False], "boolean"),
        (["red", "blue", "red"], "category"),
        (["2024-01-01", "2024-02-29T12:00"], "date"),
        (["3/4/2024", "15/6/2024"], "date"),
        (["03.04.2024 10:30", "05.06.2024 11:00"], "date"),
        (pd.to_datetime(["2024-01-01", None]), "date"),
        ([None, None], "empty"),
        ([f"id-{n}" for n in range(LONG)], "id"),
        ([str(n) for n in range(7, 7 + LONG)], "id"),
        (list(range(LONG)), "id"),
        ([str(n * n) for n in range(LONG)], "number"),
        (["word"] + [str(n * n) for n in range(LONG)], "number"),
        (["1", "word", "2"], "category"),
    ],
)
def test_kinds_are_inferred(values, kind):
    assert infer_kind(pd.Series(values)) == kind


def test_a_word_among_numbers_is_named_with_row_and_column():
    values = pd.Series([str(n * n) for n in range(3000)])
    values[1836] = "twelve"
    with pytest.raises(InputError, match=r"t\.csv: row 1,837, column 'age': expected a number, f"):
        to_numbers(values, "age", "t.csv")


@pytest.mark.parametrize("values", [["1", "inf"], [1.0, -np.inf]])
def test_infinite_numbers_are_refused(values):
    with pytest.raises(InputError, match=r"row 2, column 'a': expected a finite number"):
        to_numbers(pd.Series(values), "a", "t.csv")


@pytest.mark.parametrize(
    ("texts", "order", "days"),
    [
        (["01/02/2024", "13/02/2024"], "", [19754, 19766]),  # 1 and 13 February
        (["01/02/2024", "01/13/2024"], "", [19724, 19735]),  # 2 and 13 January
        (["01/02/2024", "03/02/2024"], "day-first", [19754, 19756]),
        (["01/02/2024", "03/02/2024"], "month-first", [19724, 19784]),
        (["05.03.2024"], "", [19787]),
    ],
)
def test_one_way_of_writing_dates_holds_for_the_whole_column(texts, order, days):
    column = pd.Series(texts)
    form = find_format(column, order)
    assert to_dates(column, "d", "t.csv", form).tolist() == days


def test_dates_that_allow_two_readings_are_refused_with_a_way_out():
    table = pd.DataFrame({"d": ["01/02/2024", "03/02/2024"] * 20, "y": range(40)})
    with pytest.raises(InputError, match="the day or the month first.*--data.dates day-first"):
        plan_columns(table, Data(target=("y",)))
    plan = plan_columns(table, Data(target=("y",), dates="day-first"))
    assert plan.column("d").form == "%d/%m/%Y"


def test_a_bad_date_is_named():
    with pytest.raises(InputError, match="row 2, column 'd': expected a date, found 'soon'"):
        to_dates(pd.Series(["2024-01-01", "soon"]), "d", "t.csv")


def test_dates_count_days_and_cycles_close():
    days = to_dates(pd.Series(["1970-01-01", "1970-01-02T12:00", None]), "d", "t.csv")
    assert days[:2].tolist() == [0.0, 1.5]
    assert np.isnan(days[2])
    parts = date_parts(np.array([3.25, 10.25]))  # a week apart
    assert parts["week sin"][0] == pytest.approx(parts["week sin"][1])
    assert parts["day sin"][0] == pytest.approx(1.0)


def test_levels_of_numbers_are_written_the_shortest_way():
    assert to_levels(pd.Series([1.0, 0.1, None])).tolist() == ["1", "0.1", None]
    assert to_levels(pd.Series([3, 4])).tolist() == ["3", "4"]


def frame():
    return pd.DataFrame(
        {
            "id": [f"k{n}" for n in range(LONG)],
            "x": np.linspace(0, 1, LONG) ** 2,
            "flag": [0, 1] * (LONG // 2),
            "const": ["same"] * LONG,
            "void": [None] * LONG,
            "when": pd.date_range("2024-01-01", periods=LONG),
        }
    )


def test_roles_and_reasons():
    plan = plan_columns(frame(), Data(target=("flag",), ignore=("const",)))
    assert {c.name: c.role for c in plan.columns} == {
        "id": "ignored",
        "x": "input",
        "flag": "target",
        "const": "ignored",
        "void": "ignored",
        "when": "input",
    }
    assert plan.column("flag").kind == "category"
    assert "id" in plan.column("id").note


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data(), "name at least one column to predict"),
        (Data(target=("flg",)), "no column 'flg'; did you mean 'flag'"),
        (Data(target=("const",)), "target 'const': does not vary: every value is 'same'"),
        (Data(target=("void",)), "target 'void': every value is missing"),
        (Data(target=("when",)), "target 'when': is a date"),
        (Data(target=("x",), weight="x"), "cannot be both target and weight"),
        (Data(target=("x",), category=("id",), ignore=("id",)), "told to be category and ignore"),
        (Data(target=("x",), split="time:then"), "split: no column 'then'"),
    ],
)
def test_impossible_plans_are_refused(data, message):
    from counterpoint.recipe import Recipe
    from counterpoint.table.prepare import prepare

    with pytest.raises(InputError, match=message):
        prepare(frame(), Recipe(data))


def test_the_user_has_the_last_word():
    plan = plan_columns(frame(), Data(target=("flag",), number=("flag",), category=("id",)))
    assert plan.column("flag").kind == "number"
    assert plan.column("id").role == "input"
