"""Several figures in one file."""

from xml.etree import ElementTree

import pytest

from counterpoint.errors import InputError
from counterpoint.report.figures import Figure, Line, sheet

SVG = "{http://www.w3.org/2000/svg}"


def read(figures, across=2):
    return ElementTree.fromstring(sheet(figures, across))


def boxes(svg):
    """Left, top, right and bottom of each figure's place."""
    found = []
    for place in svg.findall(f"{SVG}svg"):
        x, y, wide, high = (float(place.get(name)) for name in ("x", "y", "width", "height"))
        found.append((x, y, x + wide, y + high))
    return found


@pytest.mark.parametrize("across", [1, 2, 3, 7])
def test_figures_of_any_size_do_not_overlap_and_stay_on_the_card(across):
    sizes = [(350, 260), (200, 400), (500, 100), (350, 260), (120, 90)]
    figures = [Figure(f"number {i}", [], width=w, height=h) for i, (w, h) in enumerate(sizes)]
    svg = read(figures, across)
    found = boxes(svg)
    assert [(r - x, b - y) for x, y, r, b in found] == sizes
    for i, (x, y, right, bottom) in enumerate(found):
        assert 0 <= x < right <= float(svg.get("width"))
        assert 0 <= y < bottom <= float(svg.get("height"))
        for other_x, other_y, other_right, other_bottom in found[i + 1 :]:
            beside = right <= other_x or other_right <= x
            assert beside or bottom <= other_y or other_bottom <= y
    titles = svg.findall(f"{SVG}text")
    for title, (x, y, right, _) in zip(titles, found, strict=True):
        assert x <= float(title.get("x")) < right
        assert 0 < float(title.get("y")) < y
    # reading order: a new line after every `across` figures
    assert [i for i, box in enumerate(found) if box[0] == found[0][0]] == list(range(0, 5, across))


def test_a_sheet_has_one_style_and_its_figures_have_their_own_names():
    svg = read([Figure("a <b>", [Line([0, 1], [0, 1])]) for _ in range(3)])
    assert len(list(svg.iter(f"{SVG}style"))) == 1
    assert "prefers-color-scheme: dark" in svg.findtext(f"{SVG}style")
    names = [element.get("id") for element in svg.iter() if element.get("id")]
    assert len(names) == len(set(names)) == 9
    assert [title.text for title in svg.findall(f"{SVG}text")] == ["a <b>"] * 3
    (card,) = svg.findall(f"{SVG}rect")
    assert (card.get("width"), card.get("height")) == (svg.get("width"), svg.get("height"))


def test_a_long_title_stays_over_its_figure():
    svg = read([Figure("a very long title " * 20, []), Figure("short", [])])
    assert len(svg.findtext(f"{SVG}text")) < 70


@pytest.mark.parametrize(("figures", "across"), [([], 2), ([Figure("t", [])], 0)])
def test_nothing_to_place_is_refused(figures, across):
    with pytest.raises(InputError, match="sheet: at least one figure"):
        sheet(figures, across)
