"""What was learnt since, on the page."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.findings import Findings, ShiftFindings, UpdateFindings
from counterpoint.plain import from_plain, to_plain
from counterpoint.report import render
from counterpoint.report.sections import sections
from counterpoint.report.sections._moved import moved_card
from counterpoint.report.sections._updates import updates
from report.reading import as_tree, outline, text_of
from report.sample import HOSTILE, empty, rich
from report.updated import condition, disguised_update, several, shifts, target, update

_NUMBER = st.floats(allow_nan=True, allow_infinity=True)
_VALUE = st.none() | _NUMBER


def page(*found: UpdateFindings) -> str:
    return render(replace(empty(), updates=list(found)))


def said(*found: UpdateFindings) -> str:
    return text_of(as_tree(page(*found)))


def check(html: str) -> None:
    tree, seen = as_tree(html), outline(html)
    assert seen.tags.count("script") == 1
    assert not seen.handlers
    identifiers = [e.get("id") for e in tree.iter() if e.get("id")]
    assert len(identifiers) == len(set(identifiers))
    assert len(html.encode()) < 1_000_000


def test_without_updates_there_is_no_section():
    assert updates(empty()) is None
    assert "What was learnt since" not in render(empty())


def test_what_the_model_is_today_stands_before_the_results_of_the_fit():
    titles = [s.title for s in sections(replace(rich(20, 2), updates=several()))]
    assert titles[:3] == ["What was learnt since", "Results of the fit", "Target: price"]


def test_every_update_is_a_line_and_the_newest_three_are_in_full():
    html = page(*several())
    check(html)
    tree = as_tree(html)
    text = text_of(tree)
    assert "5 updates have taught the model 2,827 rows since the fit." in text
    assert "Every other section shows the fit as it was, before any update." in text
    (table,) = [t for t in tree.iter("table") if t.findtext("thead/tr/th") == "update"]
    lines = [text_of(row) for row in table.iter("tr")][1:]
    assert [line[0] for line in lines] == ["5", "4", "3", "2", "1"]
    assert lines[0] == "52025-07-01 09:30june.csv412last layer10 %2 of 6"
    assert lines[1].endswith("whole network0 %2 of 6")
    assert lines[2] == "3–bare.csv3last layer0 %–"
    headings = [text_of(e) for e in tree.iter("h3") if e.get("class") == "part"]
    assert headings == ["Update 5: june.csv", "Update 4: spring.csv", "Update 3: bare.csv"]
    assert "The newest 3 are shown in full." in text
    assert "The test rows of the first fit were not touched." in text


def test_one_update_is_said_in_the_singular():
    text = said(replace(update(), rows=1, targets=[replace(target(), new_rows=1)]))
    assert "1 update has taught the model 1 row since the fit." in text
    assert "Predicted before it was learnt, this row had an RMSE of 48,200" in text


@pytest.mark.parametrize(
    ("after", "end"),
    [
        (40_100.0, "the updated model has 40,100, which is better."),
        (51_000.0, "the updated model has 51,000, which is worse."),
        (48_200.001, "the updated model has 48,200, the same."),
    ],
)
def test_what_was_learnt_is_better_or_worse(after, end):
    text = said(replace(update(), targets=[target(after=after)]))
    assert "Predicted before they were learnt, these rows had an RMSE of 48,200; " + end in text


def test_the_direction_depends_on_the_measure():
    tree = as_tree(page(update()))
    lines = [text_of(row) for t in tree.iter("table") for row in t.iter("tr")]
    for line in (
        "RMSE48,20040,100better",
        "mean absolute error31,00027,500better",
        "R²0.880.92better",
        "log likelihood−12.7–",
        "accuracy71 %83 %better",
        "log likelihood−0.74−0.51better",
        "AUROC0.90.88worse",
        "RMSE44,70045,300worse",
        "R²0.910.9097worse",
        "log likelihood−12.31−12.3better",
        "loss00.0213worse",
    ):
        assert line in lines


def test_new_classes_are_named_with_their_rows():
    text = said(update())
    assert (
        "2 classes are new: shell (31 rows) and listed monument (12 rows);"
        " 74.4 % of these rows are given their class." in text
    )
    unsure = replace(condition(), classes={"shell": 1}, recognised=None)
    text = said(replace(update(), targets=[unsure]))
    assert "1 class is new: shell (1 row); how many of these rows are recognised is not" in text


@pytest.mark.parametrize(
    ("source", "measures", "text"),
    [
        (
            "kept rows",
            {"RMSE": (3.2, 3.3)},
            "Measured on 200 rows kept from earlier tables. The RMSE was 3.2 before the update and"
            " is 3.3 after it, which is worse.",
        ),
        (
            "sufficient statistics",
            {"RMSE": (3.2, 3.1)},
            "From exact sums over all 200 rows learnt from earlier (the mean of the members). The"
            " RMSE was 3.2 before the update and is 3.1 after it, which is better.",
        ),
        (
            "Gaussian",
            {"loss": (None, 0.02)},
            "the loss added on earlier rows, in nats a row. By this estimate it rose by 0.02, which"
            " is worse.",
        ),
        ("Gaussian", {"loss": (0.0, 0.0)}, "By this estimate it rose by 0, the same."),
        ("Gaussian", {"loss": (1.5, 1.25)}, "By this estimate it fell by 0.25, which is better."),
        (
            "Gaussian",
            {"log likelihood": (-1.5, -1.75)},
            "By this estimate it rose by 0.25, which is worse.",
        ),
        ("elsewhere", {"oddity": (1.0, 2.0)}, "Source: elsewhere. The oddity was 1 before"),
        ("kept rows", {}, "How well earlier rows are still predicted is not known."),
    ],
)
def test_what_was_forgotten_says_where_it_is_from(source, measures, text):
    found = replace(target(), source=source, earlier=measures)
    assert text in said(replace(update(), targets=[found]))


def test_forgetting_on_purpose_is_said():
    assert "10 % of what earlier rows say was forgotten on purpose." in said(update())
    assert "Nothing was forgotten on purpose." in said(replace(update(), forget=0.0))


def test_columns_that_moved_come_first_and_in_another_colour():
    tree = as_tree(page(update()))
    (svg,) = [e for e in tree.iter("svg") if e.get("id") == "update-1-moved"]
    assert svg.findtext("title") == "How far each column moved"
    assert svg.findtext("desc") == "2 of 6 columns moved: listed and living_area_m2."
    ticks = [e.text for e in svg.iter("text") if e.get("class") == "tick-text end"]
    assert ticks[:3] == ["listed", "living_area_m2", "district"]
    bars = [e for e in svg.iter("rect") if e.find("title") is not None]
    assert [e.get("class") for e in bars] == ["bar two"] * 2 + ["bar one"] * 3
    assert len(ticks) == 6


def test_the_table_beside_it_has_the_same_in_numbers():
    tree = as_tree(page(update()))
    lines = [text_of(row) for t in tree.iter("table") for row in t.iter("tr")]
    assert "listedmoved0.97< 10⁻¹⁶mean2021-09-302024-05-27–" in lines
    assert "district–0.060.21share of Altstadt Nord21 %17 %Mülheim (9)" in lines
    assert "plot_m2–––mean–––" in lines


def test_nothing_moved_is_said():
    still = [replace(shift, moved=False) for shift in shifts()]
    assert "None of 6 columns moved." in said(replace(update(), shifts=still))
    assert "No column was compared with earlier rows." in said(replace(update(), shifts=[]))


def test_many_columns_are_drawn_in_part():
    many = [ShiftFindings(f"c{i}", "number", i / 50, 0.5, i < 3, 1.0, 2.0) for i in range(50)]
    text = said(replace(update(), shifts=many))
    assert "3 of 50 columns moved: c2, c1 and c0." in text
    assert "30 more columns are not drawn." in text
    assert "30 more columns are not listed." in text


@settings(deadline=None, max_examples=25)
@given(st.tuples(*[_VALUE] * 7), st.tuples(*[_NUMBER] * 4))
def test_any_values(values, numbers):
    a, b, c, d, e, before, after = values
    distance, chance, forget, seconds = numbers
    found = replace(
        target(), new={"RMSE": (a, b)}, earlier={"loss": (c, d)}, classes={"x": 1}, recognised=e
    )
    shift = ShiftFindings("x", "date", distance, chance, True, before, after)
    html = page(
        replace(
            update(),
            forget=forget,
            seconds=seconds,
            shifts=[shift, replace(shift, kind="number", moved=False), replace(shift, level="y")],
            targets=[found, replace(found, source="Gaussian")],
        )
    )
    check(html)
    assert 'nan"' not in html
    assert 'inf"' not in html


def test_distances_outside_their_range_stay_in_the_figure():
    shift = ShiftFindings("x", "number", 1e308, 0.5, True, 1.0, 2.0)
    svg = as_tree(f"<!DOCTYPE html>\n{moved_card([shift], 'm')}")
    assert max(float(e.get("width")) for e in svg.iter("rect")) < 350


def test_hostile_names_are_text():
    names = iter(HOSTILE * 99)
    found = [disguised_update(item, lambda: next(names)) for item in several()]
    html = page(*found)
    check(html)
    text = text_of(as_tree(html))
    assert "<script>alert(1)</script>" in text
    assert "\u202e" not in html
    assert "x" * 401 not in html


def test_hundreds_of_wide_updates_stay_below_a_megabyte():
    wide = [
        ShiftFindings(
            f'"{i}" {"quite a long name " * 9}',
            "category",
            i / 300,
            0.5,
            i % 2 == 0,
            0.5,
            0.25,
            '"' * 500,
            {f"{j}{'&' * 200}": j for j in range(50)},
        )
        for i in range(300)
    ]
    many = {f"{i}{'<' * 200}": (1.0, 2.0) for i in range(60)}
    classes = {f"{i}{'<' * 200}": i for i in range(60)}
    targets = [
        replace(target(name='"' * 500), new=many, earlier=many, classes=classes) for _ in range(40)
    ]
    heavy = replace(update('"' * 5_000), shifts=wide, targets=targets, notes=["<" * 5_000] * 300)
    html = page(*[heavy] * 500)
    check(html)
    text = text_of(as_tree(html))
    assert "Left out, because" not in text
    assert "400 older updates are not listed." in text
    assert "34 more targets are not shown." in text
    assert "280 more columns are not drawn." in text
    assert len(html.encode()) < 900_000


def test_findings_with_updates_survive_json():
    exact = [replace(item, shifts=item.shifts[:5]) for item in several()]  # NaN equals nothing
    found = replace(rich(20, 2), updates=exact)
    assert from_plain(Findings, json.loads(json.dumps(to_plain(found)))) == found
    assert render(from_plain(Findings, to_plain(found))) == render(found)
