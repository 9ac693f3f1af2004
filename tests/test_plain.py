"""Plain values: there and back by annotations, and every misfit named by its path."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.errors import Ending, InputError
from counterpoint.plain import from_plain, to_plain


class Search(Ending):
    FOUND = "the maximum was found"
    AT_LIMIT = "the search ended at its limit"


@dataclass(frozen=True)
class Leaf:
    name: str
    share: float | None
    sure: bool = True


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    pairs: dict[str, tuple[int, float]]
    kind: Literal["oak", "fir"]
    ending: Search
    first: "Leaf | None" = None
    free: Any = None
    notes: list[str] = field(default_factory=list[str])
    count: int | str = 0


leaves = st.builds(
    Leaf, st.text(), st.none() | st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
trees = st.builds(
    Tree,
    st.lists(leaves).map(tuple),
    st.dictionaries(st.text(), st.tuples(st.integers(), st.floats(-1e9, 1e9))),
    st.sampled_from(["oak", "fir"]),
    st.sampled_from(Search),
    st.none() | leaves,
    st.none() | st.lists(st.integers()),
    st.lists(st.text()),
    st.integers() | st.text(),
)


@given(trees)
def test_there_and_back_through_json(tree):
    assert from_plain(Tree, json.loads(json.dumps(to_plain(tree)))) == tree


PLAIN = {"leaves": [], "pairs": {}, "kind": "oak", "ending": "found"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leaves": [{"name": "a", "share": "x"}]}, r"tree\.leaves\[0\]\.share: expected a number"),
        ({"leaves": [{"name": "a"}]}, r"tree\.leaves\[0\]: the part 'share' is missing"),
        (
            {"leaves": [{"name": "a", "share": 1, "shore": 2}]},
            r"tree\.leaves\[0\]: has no part 'shore'; did you mean 'share'\?",
        ),
        ({"leaves": {}}, r"tree\.leaves: expected a list, found \{\}"),
        ({"leaves": [{"name": 3, "share": 1}]}, r"leaves\[0\]\.name: expected a text, found 3"),
        (
            {"leaves": [{"name": "a", "share": 1, "sure": 1}]},
            r"sure: expected true or false, found 1",
        ),
        ({"pairs": {"p": [1]}}, r"tree\.pairs\['p'\]: expected 2 values, found 1"),
        ({"pairs": {"p": [True, 1.0]}}, r"pairs\['p'\]\[0\]: expected a whole number, found True"),
        ({"pairs": {"p": [1, 10**400]}}, r"pairs\['p'\]\[1\]: expected a number"),
        ({"kind": "oaks"}, r"tree\.kind: found 'oaks', which it cannot be; did you mean 'oak'\?"),
        ({"kind": ["oak"]}, r"tree\.kind: found \['oak'\]"),
        ({"ending": "fond"}, r"tree\.ending: found 'fond', which it cannot be; did you mean 'fou"),
        ({"count": 1.5}, r"tree\.count: expected a whole number or a text, found 1\.5"),
        ({"first": 3}, r"tree\.first: expected an object, found 3"),
    ],
)
def test_what_does_not_fit_is_named_by_its_path(change, message):
    with pytest.raises(InputError, match=message):
        from_plain(Tree, PLAIN | change, "tree")


def test_a_whole_number_is_a_number():
    share = from_plain(Leaf, {"name": "a", "share": 2}).share
    assert share == 2.0
    assert isinstance(share, float)


def test_no_message_grows_with_what_was_found():
    with pytest.raises(InputError) as refused:
        from_plain(Tree, PLAIN | {"leaves": {str(key): "x" * 99 for key in range(10_000)}})
    assert len(str(refused.value)) < 300


def test_a_type_without_a_plain_form_is_a_mistake_of_the_caller():
    @dataclass(frozen=True)
    class Bag:
        values: set[int]

    with pytest.raises(TypeError, match=r"value\.values: values of the type .* no plain form"):
        from_plain(Bag, {"values": [1]})
