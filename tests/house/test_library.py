"""The whole library is on one page: every public name of every room, and nothing that is gone."""

import re
from pathlib import Path

import pytest

from house import rules

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / rules.PACKAGE
PAGE = (ROOT / "docs" / "the-whole-library.md").read_text("utf-8")
ROOM = re.compile(r"^### `counterpoint\.(\w+)`\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def public(package):
    return set(rules.public(rules.parse(package / "__init__.py")) or ())


def test_every_room_is_on_the_page_once():
    assert sorted(room for room, _ in ROOM.findall(PAGE)) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_a_line_for_each_of_its_names(room):
    """Mend it in `docs/the-whole-library.md`: one line a name, ``- `name`: what it is.``."""
    lines = re.findall(r"^- `(\w+)`: \S", dict(ROOM.findall(PAGE))[room], re.MULTILINE)
    assert sorted(lines) == sorted(public(PACKAGE / room))


def test_the_front_door_is_on_the_page():
    missing = [name for name in sorted(public(PACKAGE)) if f"`cp.{name}`" not in PAGE]
    assert not missing
