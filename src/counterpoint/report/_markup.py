"""Text that is safe in a page: everything is escaped unless it was built here."""

import html
import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

Attributes: TypeAlias = Mapping[str, "str | float | None"]

# Elements that HTML and SVG close by themselves.
_CHILDLESS = frozenset({"meta", "br", "wbr", "hr", "path", "circle", "rect", "line"})
_NONCHARACTERS = "".join(
    chr(0x10000 * plane + end) for plane in range(17) for end in (65534, 65535)
)
# Control characters, lone surrogates, characters that are none, and the marks that reorder the text
# after them (a name could otherwise make its neighbours read backwards).
_UNPRINTABLE = re.compile(
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\u202a-\u202e\u2066-\u2069{_NONCHARACTERS}]"
)


class Markup(str):
    """HTML or SVG that is already escaped; a plain `str` beside it is escaped by `tag`."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Make a text harmless in an element or an attribute; U+FFFD for what neither can hold.

    >>> escape('</script> & "quotes"')
    '&lt;/script&gt; &amp; &quot;quotes&quot;'
    """
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(_UNPRINTABLE.sub("\ufffd", text)))


def join(parts: Iterable[str], between: str = "") -> Markup:
    """Put parts one after the other, each escaped unless it is markup."""
    safe = [part if isinstance(part, Markup) else escape(part) for part in parts]
    return Markup(escape(between).join(safe))


def tag(name: str, attributes: Attributes | None = None, *children: str) -> Markup:
    """Write one element; children and values are escaped, attributes of None are left out.

    >>> tag("text", {"x": 1.25, "class": None}, "a < b")
    '<text x="1.2">a &lt; b</text>'
    """
    opening = [name]
    for key, value in (attributes or {}).items():
        if isinstance(value, str):
            opening.append(f'{key}="{escape(value)}"')
        elif value is not None:
            # a tenth of a CSS pixel is below what a screen shows; -0 is what rounding leaves of
            # -0.04
            opening.append(f'{key}="{value:.1f}"'.replace('.0"', '"').replace('"-0"', '"0"'))
    if not children and name in _CHILDLESS:
        return Markup(f"<{' '.join(opening)}/>")
    inside = "".join(
        [child if isinstance(child, Markup) else escape(child) for child in children if child]
    )
    return Markup(f"<{' '.join(opening)}>{inside}</{name}>")
