import math
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from counterpoint.report.figures import (
    Area,
    Axis,
    Bands,
    Cells,
    Figure,
    Guide,
    Histogram,
    Line,
    Points,
    RowBars,
    TextLabels,
    sparkline,
)
from counterpoint.report.figures._text import text_width

_VALUE = st.none() | st.floats(allow_nan=True, allow_infinity=True)


def read(figure: Figure) -> ElementTree.Element:
    return ElementTree.fromstring(figure.svg("f"))


def positions(svg: ElementTree.Element) -> list[float]:
    """All numbers that say where something is."""
    names = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height")
    return [float(e.get(name)) for e in svg.iter() for name in names if e.get(name) is not None]


def of_class(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [e for e in svg.iter() if name in (e.get("class") or "").split()]


@given(st.lists(st.tuples(_VALUE, _VALUE), max_size=20), st.booleans(), st.booleans())
@example([(1e16, 1e16), (2.3e-308, 2.3e-308)], True, True)
@example([(-1e149, 1e149), (1e149, -1e149)], False, False)
def test_any_values_give_a_well_formed_figure_inside_its_frame(pairs, log_x, log_y):
    x, y = [a for a, _ in pairs], [b for _, b in pairs]
    marks = [
        Line(x, y, "line"),
        Area(x, y, y),
        Points(x, y, y, y, tips=["t"] * len(x)),
        TextLabels(x, y, ["n"] * len(x)),
    ]
    svg = read(Figure("t", marks, Axis("x", log=log_x), Axis("y", log=log_y)))
    assert all(math.isfinite(p) and -30 <= p <= 400 for p in positions(svg))
    assert svg.findtext("title") == "t"
    assert "nan" not in ElementTree.tostring(svg, "unicode")
    assert "inf" not in ElementTree.tostring(svg, "unicode")


@given(st.text(), st.text())
def test_any_names_are_text_only(title, name):
    cells = Cells([[0.5]], [[name]], [[name]])
    axis = Axis(name, names=[name])
    marks = [cells, Guide(x=0.0, text=name), TextLabels([0.0], [0.0], [name]), Line([0], [0], name)]
    svg = read(Figure(title, marks, axis, axis, description=name))
    assert {e.tag for e in svg.iter()} <= {"svg", "title", "desc", "text", "rect", "line", "path"}


def test_a_line_is_interrupted_at_gaps():
    svg = read(Figure("t", [Line([1, 2, 3, 4, 5], [1.0, 2.0, None, math.nan, 3.0])]))
    path = of_class(svg, "line")[0].get("d")
    assert path.count("M") == 2
    assert path.count("L") == 1
    assert path.endswith("h0")


def test_a_band_is_interrupted_at_gaps():
    svg = read(Figure("t", [Area([1, 2, 3, 4, 5], [0, 0, None, 0, 0], [1, 1, 1, 1, 1])]))
    assert len(of_class(svg, "area")) == 2


def test_values_that_a_logarithm_cannot_show_are_gaps():
    svg = read(Figure("t", [Points([1, 2, 3], [1.0, 0.0, -1.0])], y=Axis(log=True)))
    assert len(of_class(svg, "dot")) == 1


def test_points_carry_their_tips_and_bars():
    points = Points([1, 2], [3, 4], [2, 3], [5, 6], tips=["a & b", "c"])
    svg = read(Figure("t", [points]))
    assert [dot.findtext("title") for dot in of_class(svg, "dot")] == ["a & b", "c"]
    assert of_class(svg, "bar-line")[0].get("d").count("M") == 2


def test_larger_values_are_further_right_and_up():
    svg = read(Figure("t", [Points([1, 2], [3, 4])]))
    first, second = of_class(svg, "dot")
    assert float(first.get("cx")) < float(second.get("cx"))
    assert float(first.get("cy")) > float(second.get("cy"))


def test_a_histogram_begins_at_zero_and_heights_are_in_proportion():
    svg = read(Figure("t", [Histogram([0, 1, 2, 3], [1, 2, None])]))
    heights = [float(bar.get("height")) for bar in of_class(svg, "bar")]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert len(heights) == 2


def test_lying_bars_have_the_first_on_top_and_whiskers():
    rows = RowBars([0.5, -0.25, None], [0.1, 0.1, 0.1], ["a", "b", "c"])
    svg = read(Figure("t", [rows], y=Axis(names=["a", "b", "c"])))
    first, second = of_class(svg, "bar")
    assert float(first.get("y")) < float(second.get("y"))
    assert float(second.get("x")) < float(first.get("x"))
    assert float(first.get("width")) == pytest.approx(2 * float(second.get("width")), abs=0.2)
    assert of_class(svg, "whisker")[0].get("d").count("M") == 2
    names = [t for t in svg.iter("text") if t.text in ("a", "b", "c")]
    assert [t.text for t in sorted(names, key=lambda t: float(t.get("y")))] == ["a", "b", "c"]


def test_a_lying_axis_is_below_the_bars():
    svg = read(Figure("t", [RowBars([1.0, 2.0])], Axis("x"), Axis(names=["a", "b"])))
    axis = of_class(svg, "axis")[0]
    assert all(float(axis.get("y1")) > float(bar.get("y")) for bar in of_class(svg, "bar"))


def test_cells_are_shaded_by_size_and_sign():
    names = Axis(names=["a", "b"])
    svg = read(
        Figure("t", [Cells([[1.0, -0.5], [0.0, None]], [["1", "−½"], ["0", ""]])], names, names)
    )
    cells = of_class(svg, "cell")
    assert [float(c.get("fill-opacity") or 0) for c in cells] == pytest.approx(
        [1, 0.525, 0.05, 0], abs=0.01
    )
    assert "two" in cells[1].get("class")
    assert "absent" in cells[3].get("class")


def test_long_names_of_an_x_axis_are_turned_and_stay_inside():
    names = Axis(names=["a very long name indeed", "another very long name"] * 3)
    svg = read(Figure("t", [Cells([[0.0] * 6] * 6)], names, names))
    turned = [t for t in svg.iter("text") if t.get("transform")]
    assert len(turned) == 6
    assert all(text_width(t.text) <= 80 for t in turned)


def test_labels_do_not_overlap_each_other():
    texts = [f"label number {i}" for i in range(40)]
    spots = [(i * 37 % 41, i * 17 % 43) for i in range(40)]
    svg = read(Figure("t", [TextLabels([x for x, _ in spots], [y for _, y in spots], texts)]))
    boxes = [
        (float(t.get("x")), float(t.get("y")), text_width(t.text, 11.0))
        for t in of_class(svg, "label")
    ]
    assert len(boxes) > 10
    for index, (x, y, wide) in enumerate(boxes):
        for other_x, other_y, other_wide in boxes[index + 1 :]:
            apart = x + wide <= other_x + 0.2 or other_x + other_wide <= x + 0.2
            assert apart or abs(y - other_y) >= 11


def test_labels_at_one_point_are_few():
    svg = read(Figure("t", [TextLabels([1.0] * 50, [1.0] * 50, ["same place"] * 50)]))
    assert 1 <= len(of_class(svg, "label")) <= 8


def test_strips_cover_the_whole_width_once():
    svg = read(Figure("t", [Bands([1, 2, 5], ["a", "b", "c"])]))
    strips = [(float(s.get("x")), float(s.get("width"))) for s in of_class(svg, "band")]
    assert [x + wide for x, wide in strips[:-1]] == pytest.approx(
        [x for x, _ in strips[1:]], abs=0.1
    )


def test_the_legend_names_the_marks_that_have_a_label_and_wraps():
    lines = [Line([0, 1], [0, 1], f"the goal called number {i}") for i in range(6)]
    svg = read(Figure("t", [*lines, Line([0, 1], [1, 0])]))
    legend = of_class(svg, "legend")
    assert len(legend) == 6
    assert len({t.get("y") for t in legend}) >= 3
    assert all(float(t.get("x")) + text_width(t.text) <= 350 for t in legend)


@pytest.mark.parametrize("values", [[], [None], [5.0], [5.0, 5.0], [math.nan, math.inf]])
def test_empty_single_and_constant_values_are_drawn(values):
    svg = read(
        Figure(
            "t", [Line(list(range(len(values))), values), Points(list(range(len(values))), values)]
        )
    )
    assert len(of_class(svg, "dot")) == sum(v == 5.0 for v in values)
    assert of_class(svg, "axis")


def test_a_figure_is_also_a_file():
    document = Figure("a <b>", [Line([0, 1], [0, 1])]).document()
    svg = ElementTree.fromstring(document)
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in svg.findtext("{http://www.w3.org/2000/svg}style")
    assert Figure("t", []).resized(800, 300).svg("f").count("0 0 800 300") == 1


@given(st.lists(st.integers(-3, 10**9), max_size=200))
def test_a_sparkline_is_one_small_path(counts):
    svg = ElementTree.fromstring(sparkline(counts, "spread"))
    assert len(list(svg.iter("path"))) == 1
    assert len(ElementTree.tostring(svg)) < 1_200
