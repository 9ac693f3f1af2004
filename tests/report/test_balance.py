"""The section that tells how several goals shared the steps."""

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.findings import AlarmFindings, BalanceFindings, Findings
from counterpoint.plain import from_plain, to_plain
from counterpoint.report import render
from counterpoint.report.sections._balance import balance
from counterpoint.report.sections._timeline import Curves
from report.reading import as_tree, text_of
from report.sample import empty, rich
from report.shares import balanced

_SLOW = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])


def tree_of(found: BalanceFindings):
    html = render(replace(empty(), balance=found))
    return as_tree(html), html


def figures(found: BalanceFindings) -> dict:
    tree, _ = tree_of(found)
    return {e.get("id"): e for e in tree.iter("svg") if e.get("class") == "figure"}


def lines(figure) -> list:
    return [e for e in figure.iter("path") if "line" in (e.get("class") or "").split()]


def said(found: BalanceFindings) -> str:
    return text_of(tree_of(found)[0])


def two(**changes) -> BalanceFindings:
    """Two goals over four steps, opposed in the last two."""
    opposed = [[1.0, -0.5], [-0.5, 1.0]]
    agreed = [[1.0, 0.5], [0.5, 1.0]]
    base = BalanceFindings(
        rule="impartial",
        source="features",
        goals=["price", "days"],
        step=[1, 2, 3, 4],
        losses={"price": [4.0, 3.0, 2.0, 1.0], "days": [1.0, 1.0, 1.0, 1.5]},
        weights={"price": [0.5, 0.5, 0.5, 0.5], "days": [1.5, 1.5, 1.5, 1.5]},
        control={"price": [0.7, 0.7, 0.7, 0.7], "days": [0.3, 0.3, 0.3, 0.3]},
        cosine_step=[1, 2, 3, 4],
        cosines=[agreed, agreed, opposed, opposed],
    )
    return replace(base, **changes)


def test_there_is_a_section_only_with_a_record():
    assert balance(empty()) is None
    assert balance(replace(empty(), balance=two(step=[]))) is None
    assert balance(replace(empty(), balance=two(goals=[]))) is None


def test_every_part_is_drawn():
    found = figures(two())
    assert list(found) == [
        "balance-losses",
        "balance-weights",
        "balance-control",
        "balance-pairs",
        "balance-cosines-0",
        "balance-cosines-2",
        "balance-cosines-3",
    ]
    drawn = {name: len(lines(found[name])) for name in list(found)[:4]}
    # a line and its swatch in the legend for each goal, and each pair
    assert drawn == {
        "balance-losses": 4, "balance-weights": 4, "balance-control": 4, "balance-pairs": 2,
    }  # fmt: skip


def test_the_sentences_say_what_the_numbers_say():
    text = said(two())
    assert "The rule impartial chose the weights (gradients: features)." in text
    assert "4 steps of 4 are recorded." in text
    assert "price went from 4 to 1 and days went from 1 to 1.5." in text
    assert "How much each goal counted, on average: price 0.5 and days 1.5." in text
    assert "price had most, 70 % on average." in text
    assert "Most opposed: price and days, 0 on average, below zero in 50 % of the records." in text
    assert "at step 1, 3 and 4." in text
    assert "The monitor raised no alarm." in text


def test_a_rule_that_measures_no_gradient_has_no_control_and_no_cosines():
    nothing = {name: [None, math.nan, None, None] for name in ("price", "days")}
    blank = [[[1.0, None], [math.nan, 1.0]]] * 4
    found = two(control=nothing, cosines=blank, source="")
    assert list(figures(found)) == ["balance-losses", "balance-weights"]
    assert "The rule impartial chose the weights. 4 steps" in said(found)


def test_alarms_are_marked_and_listed():
    alarms = [
        AlarmFindings(2, "standoff", ["price", "days"], "They pull apart.", "Choose preferences."),
        AlarmFindings(4, "oscillation", [], "It swings.", "Lower the rate."),
    ]
    found = two(alarms=alarms)
    for name in ("balance-losses", "balance-weights", "balance-control", "balance-pairs"):
        notes = [e.text for e in figures(found)[name].iter("text") if e.get("class") == "note"]
        assert notes == ["standoff", "oscillation"]
    text = said(found)
    assert "2standoffprice and daysThey pull apart.Choose preferences." in text
    assert "2 alarms of the monitor, marked in the figures." in text


def test_many_alarms_are_marked_once_where_they_would_overlap():
    alarms = [AlarmFindings(100 + step, "standoff", [], "s", "r") for step in range(50)]
    figure = figures(replace(balanced(["a", "b"]), alarms=alarms))["balance-losses"]
    assert len([e for e in figure.iter("text") if e.get("class") == "note"]) == 1
    assert "The first 12 are listed." in said(replace(balanced(["a", "b"]), alarms=alarms))


def test_many_goals_are_drawn_in_part():
    names = [f"goal {place}" for place in range(30)]
    found = balanced(names)
    tree, html = tree_of(found)
    assert "The first 8 of 30 goals are drawn." in text_of(tree)
    assert "22 less opposed pairs are not drawn." in text_of(tree)
    assert len(lines(figures(found)["balance-weights"])) == 16
    dashed = [e for e in lines(figures(found)["balance-weights"]) if "dash" in e.get("class")]
    assert len(dashed) == 4
    assert len(html.encode()) < 250_000


def test_cosines_are_written_with_two_decimals():
    tiny = [[1.0, -0.00022], [-0.00022, 1.0]]
    figure = figures(two(cosines=[tiny] * 4))["balance-cosines-0"]
    written = [e.text for e in figure.iter("text") if "cell-text" in (e.get("class") or "")]
    assert written == ["1", "0", "0", "1"]


def test_one_goal_has_no_pairs():
    found = balanced(["alone"])
    assert list(figures(found)) == ["balance-losses", "balance-weights", "balance-control"]


def test_long_records_are_thinned_and_keep_their_end():
    curves = Curves.of(range(1, 10_001), {"a": [float(step) for step in range(1, 10_001)]})
    assert 98 <= len(curves.step) <= 101
    assert (curves.step[0], curves.step[-1]) == (1.0, 10_000.0)
    assert curves.values["a"][-1] == 10_000.0


def test_unlike_scales_are_drawn_on_a_logarithm():
    assert "axis is logarithmic" not in said(two())
    apart = {"price": [1000.0] * 4, "days": [1.0] * 4}
    assert "axis is logarithmic" in said(two(losses=apart))
    negative = {"price": [1000.0] * 4, "days": [-1.0] * 4}
    assert "axis is logarithmic" not in said(two(losses=negative))


def test_findings_come_back_from_json():
    found = rich()
    assert from_plain(Findings, to_plain(found)) == found
    alone = replace(found, balance=None)
    assert from_plain(Findings, to_plain(alone)) == alone


_MAYBE = st.none() | st.floats(allow_nan=True, allow_infinity=True)
_CURVE = st.lists(_MAYBE, max_size=6)


@_SLOW
@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=6),
    st.lists(_CURVE, min_size=4, max_size=4),
    st.lists(st.lists(_CURVE, max_size=3), max_size=4),
)
def test_any_values(step, values, cosines):
    found = two(
        step=step,
        losses={"price": values[0], "days": values[1]},
        weights={"price": values[2]},
        control={"days": values[3]},
        cosine_step=step,
        cosines=cosines,
        alarms=[AlarmFindings(step[0], "standoff", ["days"], "s", "r")],
    )
    tree, html = tree_of(found)
    assert len(html.encode()) < 200_000
    for figure in tree.iter("svg"):
        for path in figure.iter("path"):
            assert "nan" not in (path.get("d") or "")
            assert "inf" not in (path.get("d") or "")


@pytest.mark.parametrize("part", ["losses", "weights", "control"])
def test_a_goal_without_values_is_a_gap(part):
    figure = figures(two(**{part: {"price": [1.0, 0.5, 0.5, 0.5]}}))[f"balance-{part}"]
    assert len([e for e in lines(figure) if "L" in (e.get("d") or "")]) == 1
