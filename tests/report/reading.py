"""Read a page strictly: as XML once its script and style are taken out."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from xml.etree import ElementTree

_VOID = {"meta", "br", "hr"}
_OWN_TEXT = re.compile(r"<(script|style)>.*?</\1>", re.DOTALL)


def as_tree(html: str) -> ElementTree.Element:
    """The page as a tree; raises where a tag is left open, an entity or a character is wrong."""
    assert html.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(_OWN_TEXT.sub(r"<\1></\1>", html).partition("\n")[2])


@dataclass
class Outline:
    """What a browser's own parser would see."""

    tags: list[str]
    handlers: list[str]
    links: list[str]
    unclosed: list[str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.outline = Outline([], [], [], [])

    def handle_starttag(self, tag, attrs):
        self.outline.tags.append(tag)
        self.outline.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.outline.links += [value for name, value in attrs if name in ("href", "src", "action")]
        if tag not in _VOID:
            self.outline.unclosed.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.outline.unclosed.pop()

    def handle_endtag(self, tag):
        assert self.outline.unclosed.pop() == tag


def outline(html: str) -> Outline:
    """Tags, event handlers and links of the page; asserts that every tag is closed in order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.outline.unclosed
    return reader.outline


def text_of(tree: ElementTree.Element) -> str:
    """All text of the page, with single spaces."""
    return " ".join("".join(tree.itertext()).split())


def check_page(html: str) -> None:
    """Well-formed, closed, one script, no handler, no link outside, unique identifiers."""
    tree, seen = as_tree(html), outline(html)
    assert seen.tags.count("script") == 1
    assert not {"img", "iframe", "object", "link", "base", "form"} & set(seen.tags)
    assert not seen.handlers
    assert all(link.startswith("#") for link in seen.links)
    identifiers = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(identifiers) == len(set(identifiers))
    assert {link[1:] for link in seen.links} <= set(identifiers)
    for element in tree.iter():
        for name in ("aria-labelledby", "aria-describedby"):
            assert set((element.get(name) or "").split()) <= set(identifiers)
    assert len(html.encode()) < 1_000_000
