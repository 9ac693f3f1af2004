import ast
import base64
import hashlib
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import counterpoint.report
from counterpoint.findings import (
    Coverage,
    EmbeddingMap,
    EpochRow,
    Findings,
    GroupCoverage,
    HeldOut,
    KnownLeast,
    ReliabilityCurve,
    TargetFindings,
)
from counterpoint.plain import from_plain, to_plain
from counterpoint.report import render
from counterpoint.report._markup import Markup
from counterpoint.report._parts import Section, within
from report.reading import as_tree, check_page, text_of
from report.sample import HOSTILE, empty, named, rich

_SLOW = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def page() -> str:
    return render(rich())


def test_what_a_reader_wants_comes_first_and_what_insiders_want_last():
    target = TargetFindings(
        "y", "number", {"RMSE": 3.0, "mean absolute error": 2.0, "mean interval width": 9.0},
        {"RMSE": 4.0, "mean absolute error": 2.5},
    )  # fmt: skip
    html = render(replace(empty(), targets=[target], parameters=7, created="2026-11-29T08:00:00"))
    text = text_of(as_tree(html))
    assert "2 typical error" in text
    assert "90 % intervals are 9 wide on average" in text
    assert html.index("typical error") < html.index("<dt>parameters</dt>")
    assert html.index("2026-11-29</dd>") < html.index("typical error")
    assert html.index("2026-11-29T08:00:00") > html.index("<dt>parameters</dt>")


def test_long_names_break_behind_underscores(page):
    assert "days_<wbr/>on_<wbr/>market" in page


@pytest.mark.parametrize(("spread", "log"), [(1.0, False), (1000.0, True)])
def test_a_target_over_orders_of_magnitude_has_a_logarithmic_axis(spread, log):
    mean = [1.0, spread / 2, spread]
    held = HeldOut(
        [1, 2, 3], mean, mean, [0.0, 0.1, 0.1], [2 * v for v in mean], [1.0] * 3, [0.1] * 3
    )
    target = TargetFindings("y", "number", {"RMSE": 1.0}, held_out=held)
    html = render(replace(empty(), targets=[target]))
    assert (">10<" in html and ">100<" in html) == log


def test_the_rich_page_is_well_formed_and_has_its_sections(page):
    check_page(page)
    headings = ["".join(e.find("bdi").itertext()) for e in as_tree(page).iter("h2")]
    assert headings[:4] == [
        "Results",
        "Target: price",
        "Target: days_on_market",
        "Target: condition",
    ]
    assert {"Training", "The data", "Which columns matter"} <= set(headings)
    assert len(page.encode()) < 400_000


def test_rendering_is_a_pure_function(page):
    assert render(rich()) == page
    assert render(from_plain(Findings, to_plain(rich()))) == page


def test_every_figure_has_a_title_a_description_and_an_explanation(page):
    tree = as_tree(page)
    figures = list(tree.iter("figure"))
    assert len(figures) == 30
    for figure in figures:
        assert figure.findtext("h3")
        assert len(text_of(figure.find("figcaption"))) > 40
        for svg in figure.iter("svg"):
            assert svg.findtext("title")
            assert svg.findtext("desc")


def test_the_policy_forbids_requests_and_names_script_and_style_by_hash(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        text = re.search(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
        assert not re.search(r"https?:|@import|url\(|fetch|XMLHttp|eval|innerHTML", text)


def test_the_script_is_small(page):
    assert len(re.search("<script>(.*?)</script>", page, re.DOTALL).group(1)) < 10_000


def test_the_sentences_say_what_the_numbers_say(page):
    text = text_of(as_tree(page))
    assert (
        "90 % intervals cover 89 % of 400 held-out rows; between 87 % and 92.8 % would be" in text
    )
    assert "90 % intervals cover 80.2 % of the rows: too narrow." in text
    assert "70 % lower than the baseline's 148,900" in text
    assert "9 columns have missing values" in text
    assert "2,214 (46 %)" in text


def test_a_score_of_one_goal_is_drawn_once():
    history = [EpochRow(1, 0.1, 1.0, {"score": 1.0, "price": 1.0}, None)]
    html = render(replace(empty(), history=history))
    assert 'id="training-0"' in html
    assert 'id="training-1"' not in html
    assert "There were no validation rows to judge it by." in html


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_few_epochs(epochs):
    html = render(rich(rows=20, epochs=epochs))
    check_page(html)
    assert ("No epoch was finished" in html) == (epochs == 0)
    assert ("One value was recorded" in html) == (epochs == 1)


def test_nothing_found_is_said():
    html = render(empty())
    check_page(html)
    text = text_of(as_tree(html))
    assert "No target was evaluated" in text
    assert "No epoch was finished" in text
    assert "No column was described" in text


def test_gaps_in_training_are_gaps_and_are_said():
    losses = [1.0, 0.8, None, math.nan, 0.5, 0.4]
    history = [EpochRow(i, 0.1, 1.0, {"score": v}, {"score": v}) for i, v in enumerate(losses)]
    html = render(replace(empty(), history=history, best_epoch=2))
    check_page(html)
    figure = next(e for e in as_tree(html).iter("svg") if e.get("id") == "training-0")
    lines = [e for e in figure.iter("path") if e.get("class") == "line one"]
    assert [line.get("d").count("M") for line in lines if "L" in line.get("d")] == [2]
    assert "not finite in 2 epochs" in html


def test_losses_over_orders_of_magnitude_are_drawn_on_a_logarithm():
    history = [EpochRow(i, 0.1, 1.0, {"score": 10.0**-i}, None) for i in range(5)]
    assert "axis is logarithmic" in render(replace(empty(), history=history))
    straight = [EpochRow(i, 0.1, 1.0, {"score": 2.0 - i}, None) for i in range(5)]
    assert "axis is logarithmic" not in render(replace(empty(), history=straight))


def test_metrics_that_are_none_or_without_baseline():
    target = TargetFindings("y", "number", {"RMSE": None, "thing": 3.0}, {"RMSE": 2.0, "MAE": 1.0})
    html = render(replace(empty(), targets=[target, TargetFindings("z", "number", {})]))
    check_page(html)
    text = text_of(as_tree(html))
    assert "RMSE–2" in text
    assert "No metric could be computed." in text
    assert "There are no held-out rows to draw." in text


def test_a_model_worse_than_the_baseline_is_called_so():
    worse = TargetFindings("y", "number", {"RMSE": 3.0, "R²": -0.5}, {"RMSE": 2.0, "R²": 0.0})
    text = text_of(as_tree(render(replace(empty(), targets=[worse]))))
    assert "50 % higher than the baseline's 2" in text
    assert "RMSE worse" in text
    assert "R² worse" in text


def test_a_higher_auroc_is_better():
    worse = TargetFindings("y", "category", {"AUROC": 0.4}, {"AUROC": 0.5})
    assert "AUROC worse" in text_of(as_tree(render(replace(empty(), targets=[worse]))))


def test_a_model_better_than_the_baseline_is_not_called_worse(page):
    assert " worse" not in text_of(as_tree(page))


def test_groups_in_which_intervals_hold_least_come_first():
    """Of 200 rows nine tenths lie between 85.5 and 94 % inside, by chance alone."""
    groups = [GroupCoverage("town", f"<b>{n}", 200, 0.7 + 0.02 * n) for n in range(12)]
    target = TargetFindings("y", "number", {}, groups=groups)
    html = render(replace(empty(), targets=[target]))
    check_page(html)
    text = text_of(as_tree(html))
    assert "In which groups do they hold?" in text
    assert "In 8 of 12 groups 90 % intervals hold fewer rows than chance explains" in text
    assert "town: <b>0" in text
    assert "town: <b>8" not in text
    assert "4 more groups" in text


def test_constant_values_and_zero_deviations():
    same = [5.0] * 30
    held = HeldOut(list(range(30)), same, same, same, same, [0.0] * 30, [0.0] * 30)
    target = TargetFindings("y", "number", {}, held_out=held, coverage=Coverage([0.9], [1.0], 30))
    map_ = EmbeddingMap("c", ["a", "b"], [0.0, 0.0], [0.0, 0.0], [0, 0], [])
    html = render(replace(empty(), targets=[target], embeddings=[map_]))
    check_page(html)
    assert "How large are the errors?" not in html
    assert "All levels lie at one point" in html


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (0.031, "differ by 3.1 % (root mean square, with what chance adds taken off)."),
        (0.0, "differ no more than chance alone would make them."),
        (None, ""),
    ],
)
def test_the_calibration_error_is_said_with_chance_taken_off(error, said):
    found = ReliabilityCurve([0.7], [0.6], [20], error)
    target = TargetFindings("y", "category", {"accuracy": 0.6}, reliability=found)
    text = text_of(as_tree(render(replace(empty(), targets=[target]))))
    # on the tile, beside the figure and in the figure's description
    assert text.count(f"Confidence and share right {said}") == (3 if said else 0)
    assert said or "Confidence and share right" not in text


def test_many_classes_are_grouped():
    size = 40
    confusion = [[5 * (i == j) + (j == i + 1) for j in range(size)] for i in range(size)]
    target = TargetFindings(
        "y", "category", {}, classes=[f"c{i}" for i in range(size)], confusion=confusion
    )
    html = render(replace(empty(), targets=[target]))
    check_page(html)
    assert "29 rarer classes are added up as “other”." in html
    assert "83.7 % of 239 rows are on the diagonal." in html


def test_confusion_without_names_or_rows():
    target = TargetFindings("y", "category", {}, confusion=[[0, 0], [0, 3]])
    html = render(replace(empty(), targets=[target]))
    check_page(html)
    assert "class 1" in html
    assert "No row was taken for another class." in html


def test_hostile_names_are_text():
    html = render(named(HOSTILE))
    check_page(html)
    text = text_of(as_tree(html))
    assert "<script>alert(1)</script>" in text
    assert "<img src=x onerror=alert(1)>" in text
    assert "$script ${title}" in text
    assert "\u202e" not in html
    assert "x" * 4001 not in html


@_SLOW
@given(st.lists(st.text(st.characters(), max_size=60), min_size=1, max_size=8), st.integers(0, 99))
def test_any_names(names, seed):
    check_page(render(named(names, seed)))


_NUMBER = st.floats(allow_nan=True, allow_infinity=True)
_MAYBE = st.none() | _NUMBER


_SHARE = st.none() | st.floats(0, 1)


def _numbers(rows: int):
    return st.lists(_NUMBER, min_size=rows, max_size=rows)


_HELD_OUT = st.integers(0, 6).flatmap(lambda rows: st.tuples(*[_numbers(rows)] * 6))
_COVERAGE = st.tuples(
    st.lists(_NUMBER, max_size=4), st.lists(_NUMBER, max_size=4), st.integers(0, 10**7)
)
_BINS = st.lists(st.tuples(_MAYBE, _SHARE, st.integers(0, 99)), max_size=4)
_MATRIX = st.none() | st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=3)


def _target(held, coverage, bins, matrix, metrics) -> TargetFindings:
    return TargetFindings(
        "y",
        "number",
        {"RMSE": metrics[0], "accuracy": metrics[1]},
        {"RMSE": metrics[2], "accuracy": metrics[3]},
        held_out=HeldOut(list(range(len(held[0]))), *held),
        coverage=Coverage(*coverage),
        reliability=ReliabilityCurve(
            [b[0] for b in bins], [b[1] for b in bins], [b[2] for b in bins], metrics[0]
        ),
        confusion=matrix,
    )


@_SLOW
@given(
    st.lists(st.tuples(_HELD_OUT, _COVERAGE, _BINS, _MATRIX, st.tuples(*[_MAYBE] * 4)), max_size=2),
    st.lists(st.tuples(_MAYBE, _MAYBE, _NUMBER), max_size=6),
)
def test_any_values(targets, losses):
    history = [
        EpochRow(index, rate, rate, {"score": a, "other": b}, {"score": b})
        for index, (a, b, rate) in enumerate(losses)
    ]
    made = [_target(*parts) for parts in targets]
    html = render(replace(empty(), targets=made, history=history, seconds=math.nan, best_epoch=1))
    check_page(html)
    assert not re.search(r'="(nan|-?inf)"|[ML](nan|-?inf)| (nan|-?inf)[ "LM]', html)


def test_the_largest_findings_stay_below_a_megabyte(largest_page):
    check_page(largest_page)
    assert len(largest_page.encode()) < 970_000
    assert "of 1,000,000 rows, evenly chosen, are drawn." in largest_page
    assert "33 more targets are in the results, without figures." in largest_page
    assert "Left out, because" not in largest_page


def test_a_page_of_quotes_alone_stays_below_a_megabyte():
    """Each is six bytes once escaped: the worst a text can do."""
    long = '"' * 5_000
    base = named([long])
    columns = [replace(base.columns[0], bins=None)] * 300
    least = KnownLeast(long, [1] * 20, [1.0] * 20, [long] * 20, [long] * 20, [{long: long}] * 20)
    html = render(
        replace(
            base,
            columns=columns,
            notes=[long] * 50,
            known_least=[least] * 10,
            targets=[replace(base.targets[2], confusion=[[1] * 12] * 12)] * 10,
        )
    )
    check_page(html)
    assert "Left out, because the page would be too large." in html


def test_sections_that_would_be_too_large_are_left_out_and_said():
    parts = [
        Section(f"s{index}", "title", Markup("x" * size))
        for index, size in enumerate([500, 5000, 10])
    ]
    small, large, last = within(parts, 1_200)
    assert (small, last) == (parts[0], parts[2])
    assert (large.anchor, large.title) == ("s1", "title")
    assert large.body == "<p>Left out, because the page would be too large.</p>"
    assert within(parts, 10_000) == parts


def test_nothing_in_the_room_imports_torch_or_draws_with_anything_else():
    rooms = ("errors", "findings", "plain", "report", "storage")
    allowed = {f"counterpoint.{room}" for room in rooms}
    for path in Path(counterpoint.report.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("counterpoint"):
                assert any(node.module.startswith(name) for name in allowed), path
            if isinstance(node, ast.Import):
                assert not {"torch", "numpy", "matplotlib"} & {a.name for a in node.names}, path
