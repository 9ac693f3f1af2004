import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from counterpoint.report._markup import Markup, escape, join, tag

_ANY_TEXT = st.text(st.characters(), max_size=60)  # surrogates and control characters too


def _expected(text: str) -> str:
    """What of a text a parser gives back: forbidden characters as U+FFFD."""
    hidden = re.compile(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\u202a-\u202e\u2066-\u2069]"
    )
    return "".join("\ufffd" if hidden.match(c) or ord(c) & 0xFFFE == 0xFFFE else c for c in text)


@given(_ANY_TEXT)
def test_any_text_comes_back_from_an_element_and_an_attribute(text):
    element = ElementTree.fromstring(tag("p", {"title": text}, text))
    assert (element.text or "") == _expected(text)
    assert element.get("title").replace("\n", " ") == _expected(text).replace("\n", " ").replace(
        "\t", " "
    )
    assert not list(element)


@given(_ANY_TEXT)
def test_escaped_text_can_be_written_as_utf_8_and_is_not_escaped_twice(text):
    once = escape(text)
    assert escape(once) == once
    assert once.encode().decode() == once


def test_plain_children_are_escaped_and_markup_is_kept():
    assert tag("b", None, "a<b", Markup("<i>c</i>")) == "<b>a&lt;b<i>c</i></b>"
    assert join(["<", Markup("<br/>")], between=" ") == "&lt; <br/>"


def test_attributes_of_none_are_left_out_and_numbers_are_short():
    assert tag("rect", {"x": 1.0, "y": -0.01, "rx": None, "width": 2.25}) == (
        '<rect x="1" y="0" width="2.2"/>'
    )


def test_an_element_that_may_have_children_is_never_closed_in_its_own_tag():
    assert tag("p") == "<p></p>"
    assert tag("meta", {"name": "x"}) == '<meta name="x"/>'
