"""The map of ignorance on the page."""

from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.findings import IgnoranceMap
from counterpoint.report import render
from counterpoint.report.figures import Field, Figure
from counterpoint.report.sections._ignorance import ignorance
from report.maps import disguised, lined, mapped
from report.reading import as_tree, outline, text_of
from report.sample import HOSTILE, empty

_VALUE = st.none() | st.floats(allow_nan=True, allow_infinity=True)


def paths(field: Field) -> list[str]:
    tree = ElementTree.fromstring(Figure("f", [field], margin=0.0).svg("f"))
    return [e.get("d") or "" for e in tree.iter("path")]


def test_neighbours_of_one_shade_are_one_rectangle():
    drawn = paths(Field([0, 1, 2], [0, 1], [[0, 0, 9], [0, None, 9]], [0, 5, 10]))
    assert [path.count("z") for path in drawn] == [2, 2]


def test_rectangles_fill_the_frame_without_seams():
    (path,) = paths(Field([0, 1, 2], list(range(7)), [[1, 1, 1]] * 7, [0, 2]))
    boxes = [part.split("v") for part in path.split("z") if part]
    tops = sorted(float(start.split(" ")[1].split("h")[0]) for start, _ in boxes)
    high = sorted(float(rest.split("h")[0]) for _, rest in boxes)
    steps = sorted(round(b - a, 1) for a, b in pairwise(tops))
    assert steps == pytest.approx(high[: len(steps)], abs=0.11)
    assert sum(high) == pytest.approx(max(tops) + high[-1] - min(tops), abs=0.15)


@given(st.lists(st.lists(_VALUE, min_size=3, max_size=3), min_size=2, max_size=2))
def test_any_values_give_a_well_formed_map(values):
    field = Field([0, 1, 2], [5, 6], values, [0.0, 1.0, 2.0], ["low", "high"])
    ElementTree.fromstring(Figure("f", [field]).svg("f"))


def test_the_strongest_shade_is_the_largest_value():
    figure = Figure("f", [Field([0, 1], [0], [[0.0, 10.0]], [0, 5, 10])], margin=0.0)
    weak, strong = list(ElementTree.fromstring(figure.svg("f")).iter("path"))
    assert float(weak.get("fill-opacity")) < float(strong.get("fill-opacity"))
    assert float(strong.get("d")[1:].split(" ")[0]) > float(weak.get("d")[1:].split(" ")[0])


def test_the_page_shows_the_map_and_says_what_it_means():
    page = render(replace(empty(), maps=[mapped("price", 30_000.0)], uncertainty="luna"))
    tree, text = as_tree(page), text_of(as_tree(page))
    assert "Map of ignorance" in [e.findtext("bdi") for e in tree.iter("h2")]
    for name in ("ignorance-0", "ignorance-scale-0", "ignorance-distance-0"):
        assert f'id="{name}"' in page
    assert "on features that were trained to differ where there are no rows (luna)" in text
    assert "Yes: in the quarter of held-out rows farthest from known ones it is 30,000" in text
    assert "(2.5 times); rank correlation 0.81." in text
    assert (
        "Other inputs stay at their median or commonest value: district Nippes and rooms 3." in text
    )
    assert len(page.encode()) < 150_000


def test_one_number_is_a_line_and_none_is_no_map():
    page = render(replace(empty(), maps=[lined("price")]))
    assert 'id="ignorance-0"' in page
    assert 'id="ignorance-scale-0"' not in page
    bare = replace(mapped("price"), columns=None, rows=None, knowledge=[])
    page = render(replace(empty(), maps=[bare]))
    assert 'id="ignorance-0"' not in page
    assert 'id="ignorance-distance-0"' in page


@pytest.mark.parametrize(
    ("near", "far", "rank", "said"),
    [
        (1.0, 1.02, 0.02, "Hardly: "),
        (1.0, 1.1, 0.2, "Somewhat: "),
        (0.0, 1.0, 0.9, "Yes: "),
        (1.0, 1.0, None, "It is 1 near and 1 far."),
        (None, None, None, "too few held-out rows"),
    ],
)
def test_the_verdict_follows_the_numbers(near, far, rank, said):
    found = replace(mapped("y"), near=near, far=far, agreement=rank)
    assert said in text_of(as_tree(render(replace(empty(), maps=[found]))))


def test_nothing_to_show_is_no_section():
    assert ignorance(empty()) is None
    assert ignorance(replace(empty(), maps=[IgnoranceMap("price")])) is None


def test_absent_values_and_hostile_names_do_no_harm():
    names = iter(HOSTILE * 9)
    found = disguised(mapped("price"), lambda: next(names))
    holes = [[1.0 if (i + j) % 3 else float("nan") for j in range(24)] for i in range(24)]
    page = render(replace(empty(), maps=[found, replace(found, knowledge=holes)]))
    seen = outline(page)
    as_tree(page)
    assert seen.tags.count("script") == 1
    assert not seen.handlers


def test_many_large_maps_leave_room_for_the_page():
    wide = replace(
        mapped("price"),
        x=[float(i) for i in range(500)],
        y=[float(i) for i in range(500)],
        knowledge=[[float(i * j % 17) for j in range(500)] for i in range(500)],
        point_x=[1.0] * 50_000,
        point_y=[1.0] * 50_000,
        distance=[1.0] * 50_000,
        missing=[1.0] * 50_000,
    )
    assert len(render(replace(empty(), maps=[wide] * 30)).encode()) < 1_000_000
