"""A kind from outside: one class and one row, and a table with it is fitted, kept and updated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from counterpoint.errors import InputError
from counterpoint.table import KINDS, TableModel, fit_table, update_table
from counterpoint.table.columns import NumericColumn, ParsedColumn, Schema, infer_kind
from counterpoint.table.columns._raw import RawColumn
from table.columns.conformance import UsableKind
from tables import mixed, quick

PATTERN = "#[0-9a-f]{6}"


@dataclass(frozen=True)
class Colour(NumericColumn):
    """A colour such as #ff8000, as its lightness and two differences."""

    kind: ClassVar[str] = "colour"

    @classmethod
    def reject(cls, raw):
        if raw.nature != "texts":
            return f"it holds {raw.nature}"
        return "" if raw.texts.str.fullmatch(PATTERN).all() else "not every cell is a colour"

    @classmethod
    def find_form(cls, raw):
        return ""

    def parse(self, raw):
        fits = raw.cells.astype("string").str.fullmatch(PATTERN).fillna(value=False)
        raw.refuse(~fits.to_numpy(dtype=bool) & ~raw.missing, "a colour such as #ff8000")
        data = np.full(len(raw.missing), np.nan)
        data[~raw.missing] = [int(text[1:], 16) for text in raw.texts]
        return ParsedColumn(data, raw.missing)

    def parts(self, data):
        red, green, blue = data // 65536, data // 256 % 256, data % 256
        return {"value": red + green + blue, "warm": red - blue, "green": green - red}

    def summary(self, known):
        return f"{len(np.unique(known)):,} lightnesses"

    def show(self, value):
        return f"#{int(value):06x}"


OURS = (Colour, *KINDS)


class TestColour(UsableKind):
    kinds = OURS
    kind = "colour"
    bad = "red"

    def cells(self, rows):
        return [f"#{value:06x}" for value in np.random.default_rng(0).integers(0, 2**24, rows)]


def painted(rows, seed):
    frame = mixed(rows, seed).drop(columns=["weight", "kind"])
    paint = np.random.default_rng(seed).integers(0, 2**24, rows)
    frame["price"] += paint // 65536 / 64
    return frame.assign(paint=[f"#{value:06x}" for value in paint])


def test_a_table_with_a_kind_from_outside_is_fitted_predicted_updated_and_kept(tmp_path):
    assert infer_kind(RawColumn("paint", painted(60, 0)["paint"])).kind.kind == "id"
    model = fit_table(painted(240, 0), quick(), kinds=OURS)
    assert model.schema.column("paint").kind == "colour"
    findings = {column.name: column for column in model.findings.columns}
    assert findings["paint"].summary.endswith("lightnesses")
    matters = {item.column: item.mean for item in model.findings.importance}
    assert matters["paint"] > matters["junk"]
    after = update_table(model, painted(60, 1))
    assert "paint" in {shift.column for shift in after.findings.updates[-1].shifts}
    after.save(tmp_path / "model")
    read = TableModel.load(tmp_path / "model", OURS)
    new = painted(40, 2)
    assert np.array_equal(read.predict(new)["price"].mean, after.predict(new)["price"].mean)
    with pytest.raises(InputError, match="row 1, column 'paint': expected a colour such as"):
        read.predict(new.assign(paint="red"))


def test_a_kind_that_is_not_given_is_named():
    schema = fit_table(painted(60, 0), quick(), kinds=OURS, evaluate=False).schema
    with pytest.raises(InputError, match="no kind of column 'colour'"):
        Schema.from_json(schema.to_json())


def test_what_cannot_be_predicted_is_refused_as_a_target():
    with pytest.raises(InputError, match="target 'paint': is a colour; numbers and categories"):
        fit_table(painted(60, 0), quick(target=("paint",)), kinds=OURS)
