"""What a column is taken for."""

import numpy as np
import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.recipe import Data
from counterpoint.table.columns import Date, Number, RawColumn, Table, infer_kind
from counterpoint.table.columns._date import date_parts
from tables import prepare_frame

LONG = 60


def raw(values, name="a", **more):
    return RawColumn(name, pd.Series(values), "t.csv", **more)


def plan_columns(table, data):
    return Table.plan(table, data).schema


def days_of(column, form="ISO8601"):
    return Date(column.name, "input", form=form).parse(column).data


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
    assert infer_kind(raw(values)).kind.kind == kind


def test_a_word_among_numbers_is_named_with_row_and_column():
    values = pd.Series([str(n * n) for n in range(3000)])
    values[1836] = "twelve"
    with pytest.raises(InputError, match=r"t\.csv: row 1,837, column 'age': expected a number, f"):
        Number("age", "input").parse(raw(values, "age"))


@pytest.mark.parametrize("values", [["1", "inf"], [1.0, -np.inf]])
def test_infinite_numbers_are_refused(values):
    with pytest.raises(InputError, match=r"row 2, column 'a': expected a finite number"):
        Number("a", "input").parse(raw(values))


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
    column = raw(texts, dates=order)
    assert days_of(column, Date.find_form(column)).tolist() == days


def test_dates_that_allow_two_readings_are_refused_with_a_way_out():
    table = pd.DataFrame({"d": ["01/02/2024", "03/02/2024"] * 20, "y": range(40)})
    with pytest.raises(InputError, match="the day or the month first.*--data.dates day-first"):
        plan_columns(table, Data(target=("y",)))
    plan = plan_columns(table, Data(target=("y",), dates="day-first"))
    assert plan.column("d").form == "%d/%m/%Y"


def test_a_bad_date_is_named():
    with pytest.raises(InputError, match="row 2, column 'd': expected a date, found 'soon'"):
        days_of(raw(["2024-01-01", "soon"], "d"))


def test_dates_count_days_and_cycles_close():
    days = days_of(raw(["1970-01-01", "1970-01-02T12:00", None]))
    assert days[:2].tolist() == [0.0, 1.5]
    assert np.isnan(days[2])
    parts = date_parts(np.array([3.25, 10.25]))  # a week apart
    assert parts["week sin"][0] == pytest.approx(parts["week sin"][1])
    assert parts["day sin"][0] == pytest.approx(1.0)


def test_levels_of_numbers_are_written_the_shortest_way():
    assert raw([1.0, 0.1, None]).labels.tolist() == ["1", "0.1", None]
    assert raw([3, 4]).labels.tolist() == ["3", "4"]


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
        (
            Data(target=("x",), kinds={"id": "category"}, ignore=("id",)),
            "told to be category and ignore",
        ),
        (Data(target=("x",), split="time:then"), "split: no column 'then'"),
    ],
)
def test_impossible_plans_are_refused(data, message):
    from counterpoint.recipe import Recipe

    with pytest.raises(InputError, match=message):
        prepare_frame(frame(), Recipe(data))


def test_the_user_has_the_last_word():
    plan = plan_columns(frame(), Data(target=("flag",), kinds={"flag": "number", "id": "category"}))
    assert plan.column("flag").kind == "number"
    assert plan.column("id").role == "input"


def test_every_kind_before_says_why_it_is_not():
    rejected = infer_kind(raw(["red", "blue", "red"])).rejected
    assert list(rejected) == ["empty", "nested", "boolean", "number", "date", "id"]
    assert rejected["number"] == "0% of its cells read as numbers"
    assert rejected["id"] == "its values repeat"


def test_a_column_of_no_kind_is_refused_with_every_reason():
    with pytest.raises(InputError, match="of no kind: no number: it holds nothing"):
        infer_kind(raw([None]), kinds=[Number])


def test_dates_of_every_year_are_described():
    frame = pd.DataFrame({"d": ["1650-01-01", "9999-12-31"] * 20, "y": range(40)})
    table = Table.plan(frame, Data(target=("y",)))
    summary, bins = table.schema.column("d").describe(table.values["d"])
    assert summary == "from 1650-01-01 to 9999-12-31"
    assert sum(bins.counts) == 40


def test_integers_beside_2_to_the_53_vary():
    frame = pd.DataFrame({"x": 2**53 + 2 * np.arange(60), "y": np.arange(60) % 7})
    table = Table.plan(frame, Data(target=("y",), kinds={"x": "number"}))
    number = table.learnt(np.arange(60), np.ones(60)).encode()["numbers"].numpy()
    assert np.ptp(number) > 3.0
    same = pd.DataFrame({"x": [0.1 + 0.2, 0.3] * 30, "y": np.arange(60) % 7})
    rounding = Table.plan(same, Data(target=("y",))).learnt(np.arange(60), np.ones(60))
    assert np.ptp(rounding.encode()["numbers"].numpy()) < 1e-9
