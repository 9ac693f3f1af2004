"""How cells are written, and what they then are: one row a way of writing, no training."""

import numpy as np
import pandas as pd
import pytest

from counterpoint.errors import InputError
from counterpoint.recipe import Data
from counterpoint.table.columns import Schema, Table
from counterpoint.table.columns._quantities import read_quantities
from counterpoint.table.columns._signs import Signs
from table.columns.planned import plan, said

NAN = float("nan")


def quantities(texts, **signs):
    cells = pd.Series(texts, dtype=object)
    plain = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
    return read_quantities(cells, plain, Signs(**signs))


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["$12.99", "$1,250.00", "$5"], [12.99, 1250, 5]),
        (["-€5", "€-6", "€ 20,63"], [-5, -6, 20.63]),
        (["20,63 €", "1.250,00 €"], [20.63, 1250]),
        (["USD 5", "USD 1,000.5"], [5, 1000.5]),
        (["1.5 Mio. €", "900 Tsd. €"], [1.5e6, 9e5]),
        (["$1.2m", "$300k", "$4bn"], [1.2e6, 3e5, 4e9]),
        (["CHF 5.-", "CHF 6.50"], [5, 6.5]),
        (["51.3%", "48 %"], [51.3, 48]),
        (["51.3 kg", "48 kg", "12"], [51.3, 48, 12]),
        (["1 year", "2 years"], [1, 2]),
        (["20 °C", "-3 °C"], [20, -3]),
        (["30 m²", "42.5 m²"], [30, 42.5]),
        (["2.1", "<0.05", "> 9", "3"], [2.1, 0.05, 9, 3]),
        (["85", "90+", "12", "4"], [85, 90, 12, 4]),
        (["about 5", "6", "7", "8"], [5, 6, 7, 8]),
        (["1.20", "(1.20)", "($3)"], [1.2, -1.2, -3]),
        (["1,257e+04", "3,040e-02"], [12570, 0.0304]),
        (["'24", "'7.5", '="12"', "3"], [24, 7.5, 12, 3]),
        (["120.50-", "3"], [-120.5, 3]),
        (["1.2", "−1.2", "–3"], [1.2, -1.2, -3]),
        (["12_345", "13_210"], [12345, 13210]),
        (["1 250", "950", "12 000,5"], [1250, 950, 12000.5]),
        (["1'250.5", "950"], [1250.5, 950]),
        (["1\N{NO-BREAK SPACE}250", "950"], [1250, 950]),
        (["1,00,000", "5,000"], [100000, 5000]),
        (["950", "1,250", "12"], [950, 1250, 12]),
        (["967", "1.448", "907", "1.088"], [967, 1448, 907, 1088]),
        (["1.234.567", "1.000"], [1234567, 1000]),
        (["1.234,5", "12"], [1234.5, 12]),
        (["1,234.5", "12"], [1234.5, 12]),
        (["0,126", "-0,132"], [0.126, -0.132]),
        (["1,5e3", "2"], [1500, 2]),
        (["2.5", "1.448", "3"], [2.5, 1.448, 3]),
        (["12.5*", "12"], [12.5, 12]),
        (["1st", "2nd", "3rd", "4th"], [1, 2, 3, 4]),
        (["0x1f", "0x10"], [31, 16]),
        (["１２", "３"], [12, 3]),
        (["1", "missing", "3", "-", "N.A.", "2", "4"], [1, NAN, 3, NAN, NAN, 2, 4]),
    ],
)
def test_a_number_in_a_costume_is_a_number(texts, numbers):
    read = quantities(texts)
    assert not read.doubt
    assert not read.costume
    np.testing.assert_array_equal(read.numbers, numbers)


@pytest.mark.parametrize(
    ("texts", "signs", "numbers"),
    [
        (["20,628", "19,339"], {"separator": ","}, [20628, 19339]),
        (["20,628", "19,339"], {"thousands": ","}, [20628, 19339]),
        (["20,628", "19,339"], {"decimal": ","}, [20.628, 19.339]),
        (["1.234", "4.061"], {"decimal": ","}, [1234, 4061]),
        (["1.234", "4.061"], {"thousands": "."}, [1234, 4061]),
        (["1.234", "4.061"], {}, [1.234, 4.061]),
        (["967", "1.448"], {"thousands": "none"}, [967, 1.448]),
        (["1.234", "12.5"], {"decimal": ","}, [1.234, 12.5]),
        (["1,250", "1.250"], {"decimal": "."}, [1250, 1.25]),
    ],
)
def test_what_is_told_of_signs_settles_them(texts, signs, numbers):
    np.testing.assert_allclose(quantities(texts, **signs).numbers, numbers, rtol=1e-15)


@pytest.mark.parametrize(
    ("texts", "doubt"),
    [
        (["20,628", "19,339"], "is '20,628' 20628 or 20.628? say --thousands , or --decimal ,"),
        (["1,250", "1.250"], "is '1,250' 1250 or 1.25? say --thousands , or --thousands ."),
    ],
)
def test_two_readings_are_named_with_the_flag_for_each(texts, doubt):
    assert quantities(texts).doubt.startswith(doubt)


@pytest.mark.parametrize(
    "texts",
    [
        ["id-1", "id-2"], ["A12", "B13"], ["u17", "u4"], ["10.0.0.1", "10.0.0.2"],
        ["2020-01-31", "2020-02-01"], ["8:15", "9:20"], ["01 Jan", "02 Jan"], ["<=50K", ">50K"],
        ["12 Main Street", "4 Oak Road", "5 Elm", "7 Elm Road", "9 a", "8 b c"], ["red", "blue"],
    ],
)  # fmt: skip
def test_what_only_holds_digits_is_no_number_and_no_costume(texts):
    read = quantities(texts)
    assert np.isnan(read.numbers).all()
    assert not read.costume


@pytest.mark.parametrize(
    ("cells", "costume"),
    [
        ([f"{n}k-{n + 10}k" for n in range(40)], "ranges such as '0k-10k'"),
        ([f"{n}.5 {'kg' if n % 2 else 'lb'}" for n in range(40)], "numbers with different units"),
        ([f"{n}%" if n % 3 else f"0.{n}" for n in range(40)], "percent signs in some cells"),
        ([f"{n}.5" if n % 9 else "closed" for n in range(40)], "87% numbers, and cells such as 'c"),
        ([f"0,{n}" if n % 2 else f"0.{n}" for n in range(40)], "points and commas in two ways"),
        ([f"{13 + n % 9}/02/{2000 + n}" if n % 2 else f"02/{13 + n % 9}/{2000 + n}"
          for n in range(40)], "dates in ways that contradict one another"),
        ([f"{13 + n % 9}/02/{2000 + n}" if n % 9 else "never" for n in range(40)],
         "87% dates, and cells such as 'never'"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_by_its_nature(cells, costume):
    with pytest.raises(InputError, match=rf"t\.csv: column 'c': holds .*{costume}.*--ignore c"):
        plan(cells)
    assert plan(cells, kinds={"c": "category"}).schema.column("c").kind == "category"
    assert plan(cells, ignore=("c",)).schema.column("c").role == "ignored"


@pytest.mark.parametrize(
    "cells",
    [
        [f"{n}.5 ± 0.3" for n in range(60)], [f"{90 + n}/{60 + n}" for n in range(60)],
        [f"{n}. Juni {1960 + n}" for n in range(60)], [f"{n}.25, {n}.5" for n in range(60)],
    ],
)  # fmt: skip
def test_a_quantity_that_is_not_read_is_not_called_a_name(cells):
    column = plan(cells).schema.column("c")
    assert column.role == "ignored"
    assert column.note.startswith(f"hardly any value repeats, and cells such as {cells[0]!r} read")
    few = plan([f"{n // 12}'{n % 12}" for n in range(50, 70)])
    assert few.schema.column("c").kind == "category"
    assert "column 'c': cells such as \"4'2\" read as no number or date, and are levels" in said(
        few
    )


@pytest.mark.parametrize("cells", [[f"name {n}" for n in range(60)], ["red", "2 reds", "blue"]])
def test_names_with_figures_are_names(cells):
    table = plan(cells)
    assert "read as no number" not in said(table) + table.schema.column("c").note


def test_ranges_that_overlap_are_a_category_and_said_to_be():
    table = plan(["18-24", "20-34", "35-49"])
    assert table.schema.column("c").kind == "category"
    assert "holds ranges such as '18-24', and is a category whose levels have no order" in said(
        table
    )


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["€20.63", "€21"], "'€20.63' is read as 20.63"),
        (["20,628", "19,339"], "'20,628' is read as 20628 (--decimal , would make "),
        (["967", "1.448"], "'1.448' is read as 1448 (--thousands none would make '1.448' 1.448)"),
        (["5", "6", "7", "<0.05"], "limits such as '<0.05' (15 cells) are read as the limit"),
        (["5", "6", "7", "-"], "'-' (15 cells) is taken as no value"),
        (["5.5", "6", "7", "-999", "5"], "-999 stands in 12 rows, far from all other values; --m"),
    ],
)  # fmt: skip
def test_what_is_read_is_said(cells, sentence):
    table = plan(cells)
    assert table.schema.column("c").kind == "number"
    assert f"column 'c': {sentence}" in said(table)


def test_points_of_a_table_between_semicolons_may_stand_between_thousands():
    assert "--thousands . if points stand between thousands" in said(plan(["2.002", "4.061"], ";"))
    assert not plan(["2.002", "4.061"]).remarks


@pytest.mark.parametrize(
    ("cells", "form", "first"),
    [
        (["01-Jan-2020", "10-Feb-2020"], "%d-%b-%Y", "2020-01-01"),
        (["1 January 2020", "10 May 2021"], "%d %B %Y", "2020-01-01"),
        (["Jan 31, 2020", "Feb 1, 2020"], "%b %d, %Y", "2020-01-31"),
        (["01/31/2020 1:05 PM", "02/13/2020 11:05 AM"], "%m/%d/%Y %I:%M %p", "2020-01-31 13:05"),
        (["2020-01-31", "1 Feb 2020"], "ISO8601|%d %b %Y", "2020-01-31"),
        (["13/02/2020", "14/02/2020 10:30"], "%d/%m/%Y|%d/%m/%Y %H:%M", "2020-02-13"),
        (["20200131", "20200201", "20191231"], "%Y%m%d", "2020-01-31"),
        (["2000-01", "2000-02"], "ISO8601", "2000-01-01"),
        (["2020Q2", "2021Q1"], "quarter", "2020-04-01"),
        (["Q2 2020", "Q1 2021"], "quarter", "2020-04-01"),
        (["2020-W05", "2020-W06"], "week", "2020-01-27"),
        (["0000-00-00", "2020-01-10"], "ISO8601", None),
        (["9999-12-31", "1066-10-14"], "ISO8601", "9999-12-31"),
        (["31.12.9999", "01.01.2020"], "%d.%m.%Y", "9999-12-31"),
        (["08:15", "23:10"], "%H:%M", "08:15"),
        (["8:15 am", "11:10 PM"], "%I:%M %p", "08:15"),
        (["8:15:30 a.m.", "11:10:00 p.m."], "%I:%M:%S %p", "08:15:30"),
    ],
)
def test_dates_in_unusual_writing(cells, form, first):
    table = plan(cells)
    column, values = table.schema.column("c"), table.values["c"]
    assert (column.kind, column.form) == ("date", form)
    if first is None:
        assert values.missing[0]
        assert "'0000-00-00' (30 cells) is taken as no date" in said(table)
    else:
        assert column.show(values.data[0]) == first
    learnt = table.learnt(np.arange(60), np.ones(60))
    assert np.isfinite(learnt.encode()["numbers"].numpy()).all()
    assert Schema.from_json(learnt.schema.to_json()) == learnt.schema


def test_a_time_of_day_goes_round_and_has_no_year():
    table = plan(["00:00", "23:59", "12:00"])
    parts = table.schema.column("c").parts(table.values["c"].data[:3])
    assert sorted(parts) == ["day cos", "day sin", "value"]
    assert parts["day cos"][0] == pytest.approx(parts["day cos"][1], abs=1e-4)


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        (["1h 30m", "45m", "2 d"], [5400, 2700, 172800]),
        (["36:15", "8:00"], [130500, 28800]),
        (["2 days 03:00:00", "0 days 00:00:05"], [183600, 5]),
        (["PT1H30M", "P1DT5S"], [5400, 86405]),
        (list(pd.to_timedelta(["1h", "90s"])), [3600, 90]),
    ],
)
def test_durations_are_numbers_of_seconds(cells, seconds):
    frame = pd.DataFrame({"c": [cells[n % len(cells)] for n in range(60)]})
    table = Table.plan(
        frame.assign(y=np.arange(60) ** 2 % 11), Data(target=("y",), kinds={"y": "number"})
    )
    assert (table.schema.column("c").kind, table.schema.column("c").form) == ("number", "duration")
    assert table.values["c"].data[: len(cells)].tolist() == seconds
    assert "seconds" in said(table)


def test_whole_numbers_are_no_dates_by_chance():
    assert plan([str(n) for n in (20200131, 99887766, 12)]).schema.column("c").kind == "number"
    assert plan([str(1950 + n * n % 70) for n in range(40)]).schema.column("c").kind == "number"


@pytest.mark.parametrize(
    ("cells", "kind", "levels"),
    [
        (["Yes", "yes", "YES", "No", "no"], "boolean", {"Yes", "No"}),
        (["Y", "yes", "TRUE", "0", "N", "Y"], "boolean", {"Y", "0"}),
        (["Ja", "Nein", "ja"], "boolean", {"Ja", "Nein"}),
        (["on", "off", "On"], "boolean", {"on", "off"}),
        (["01010", "90210", "00501"], "category", {"01010", "90210", "00501"}),
        (["m", "f", "m"], "category", {"m", "f"}),
    ],
)
def test_levels_are_spelt_in_one_way(cells, kind, levels):
    table = plan(cells)
    column = table.schema.column("c")
    assert column.kind == kind
    assert set(table.values["c"].known.tolist()) == levels


def test_levels_that_look_alike_are_named_beside_their_twin():
    assert "'north' (24), 'North' (12)" in said(plan(["north", "North", "south", "east", "north"]))


def later(table, cells):
    frame = pd.DataFrame({"c": pd.Series(cells, dtype=object), "x": 1})
    learnt = table.learnt(np.arange(table.rows), np.ones(table.rows))
    return Table.read(frame, learnt.schema, "new.csv")


@pytest.mark.parametrize(
    ("first", "then", "same"),
    [
        (["Y", "N"], ["yes", "True", "1", "no", False, 0], ["Y", "Y", "Y", "N", "N", "N"]),
        (["01010", "90210"], ["1010", 90210, 1010], ["01010", "90210", "01010"]),
        (["a", "b"], ["a", "B"], ["a", "B"]),
    ],
)
def test_a_later_table_may_write_levels_otherwise(first, then, same):
    found = later(plan(first), then)
    assert found.values["c"].data.tolist() == same


@pytest.mark.parametrize("then", [["1", "2"], ["1.0", "2.0"], [1.0, 2.0], [1, 2]])
def test_whole_numbers_are_one_level_however_a_file_has_them(then):
    frame = pd.DataFrame({"c": then, "x": 1})
    table = plan(["1", "2", "3"], kinds={"c": "category"})
    learnt = table.learnt(np.arange(60), np.ones(60))
    read = Table.read(frame, learnt.schema)
    assert read.encode()["categories"].tolist() == [[2], [3]]
    assert learnt.schema.column("c").unseen(read.values["c"]) == 0


def test_an_unknown_level_is_named_beside_the_known_one_that_it_resembles():
    found = later(plan(["north", "south"]), ["NORTH", "west"])
    assert said(found) == (
        "column 'c': 'NORTH' is not the known 'north': they differ in case or space"
    )


@pytest.mark.parametrize(
    ("first", "then", "numbers"),
    [
        (["$12.99", "$5"], ["12.99", "$1,000"], [12.99, 1000]),
        (["0.5", "12.25"], ["0,5", "1,25"], [0.5, 1.25]),
        (["967", "1.448"], ["1.234", "5"], [1234, 5]),
        (["0.5", "1.448"], ["1.448", "967"], [1.448, 967]),
        (["0,5", "1,25"], ["0.5", "2"], [0.5, 2]),
        (["5 kg", "6.5 kg"], ["7", "8 KG"], [7, 8]),
    ],
)
def test_a_later_table_may_write_numbers_otherwise(first, then, numbers):
    assert later(plan(first), then).values["c"].data.tolist() == numbers


def test_numbers_of_another_unit_are_refused():
    with pytest.raises(InputError, match="it holds 'lb', where the model knows 'kg'"):
        later(plan(["5 kg", "6.5 kg"]), ["7 lb"])


def test_a_column_that_was_told_to_be_a_number_takes_its_costume_off():
    with pytest.raises(InputError, match="row 1, column 'c': expected a number, not numbers with"):
        plan(["5 kg", "6 lb", "7"], kinds={"c": "number"})
    found = plan(["5%", "6%", "7.5%"], kinds={"c": "number"})
    assert found.values["c"].data[:3].tolist() == [5, 6, 7.5]


def test_a_target_in_money_is_a_number():
    frame = pd.DataFrame({"x": np.arange(40) ** 2 % 13, "y": ["$10.99", "$14.99"] * 20})
    assert Table.plan(frame, Data(target=("y",))).schema.column("y").kind == "number"
