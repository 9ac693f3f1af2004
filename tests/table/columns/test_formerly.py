"""Schemas of folders that were written before each kind had a class of its own."""

import pytest

from counterpoint.errors import InputError
from counterpoint.table.columns import Category, Date, Feature, Identifier, Number, Schema


def former(name, kind, role, **parts):
    whole = {"note": "", "features": [], "levels": [], "gaps": False, "form": "", "width": 0}
    return {"name": name, "kind": kind, "role": role, **whole, **parts}


VALUE = {"part": "value", "mean": 1.5, "scale": 2.0, "edges": [-1.0, 0.0, 1.0]}
FORMER = [
    former("row", "id", "ignored", note="a free id"),
    former("size", "number", "input", note="inferred", features=[VALUE], gaps=True),
    former("day", "date", "input", note="told", form="%d/%m/%Y", features=[VALUE]),
    former("shade", "category", "target", levels=["dark", "light"]),
    former("grown", "category", "input", levels=["a", "b"], width=3),
    former("w", "number", "weight", features=[{**VALUE, "edges": []}]),
    former("mark", "category", "split", note="told"),
]


def test_they_are_read():
    value = Feature("value", 1.5, 2.0, (-1.0, 0.0, 1.0))
    assert Schema.from_json(FORMER).columns == (
        Identifier("row", "ignored", "a free id"),
        Number("size", "input", "inferred", gaps=True, features=(value,)),
        Date("day", "input", "told", "%d/%m/%Y", features=(value,)),
        Category("shade", "target", levels=("dark", "light")),
        Category("grown", "input", levels=("a", "b"), width=3),
        Number("w", "weight", features=(Feature("value", 1.5, 2.0),)),
        Category("mark", "split", "told"),
    )


@pytest.mark.parametrize(
    "changed",
    [
        former("size", "number", "input", features=[VALUE], levels=["a"]),
        former("size", "number", "input", features=[VALUE], colour=""),
        former("size", "numbr", "input", features=[VALUE]),
        former("row", "id", "input"),
        former("size", "number", "target"),
    ],
)
def test_what_was_changed_by_hand_is_refused(changed):
    with pytest.raises(InputError):
        Schema.from_json([changed])
