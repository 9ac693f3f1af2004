"""What every kind of column is held to: subclass, and say which cells are of the kind."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.recipe import Data
from counterpoint.table.columns import KINDS, RawColumn, Schema, Table


class UsableKind:
    """One class a kind; `cells` makes so many cells, none missing, of more than one value."""

    kinds = KINDS
    kind = ""
    bad = None
    """A cell that is not of the kind; none: every cell is."""

    def cells(self, rows):
        raise NotImplementedError

    def frame(self, rows=80, gaps=True):
        cells = pd.Series(self.cells(rows), dtype=object)
        if gaps:
            cells[::7] = None
        return pd.DataFrame({"c": cells, "y": np.arange(rows) ** 2 % 11})

    def table(self, frame, rows=None, weights=None):
        planned = Table.plan(frame, Data(target=("y",), kinds={"y": "number"}), self.kinds)
        count = len(frame) if rows is None else rows
        weights = np.ones(len(frame)) if weights is None else weights
        return planned.learnt(np.arange(count), weights, bins=4)

    @pytest.fixture
    def fitted(self):
        return self.table(self.frame())

    def test_it_is_taken_for_its_kind(self, fitted):
        column = fitted.schema.column("c")
        assert (column.kind, column.role) == (self.kind, "input")

    def test_it_survives_json(self, fitted):
        text = json.dumps(fitted.schema.to_json())
        assert Schema.from_json(json.loads(text), self.kinds) == fitted.schema

    def test_what_it_announces_is_what_it_encodes(self, fitted):
        inputs = fitted.encode()
        assert inputs["categories"].shape == (80, len(fitted.schema.cardinalities))
        assert inputs["numbers"].shape == (80, len(fitted.schema.edges))
        assert torch.isfinite(inputs["numbers"]).all()
        bounds = torch.tensor(fitted.schema.cardinalities, dtype=torch.int64)
        assert (inputs["categories"] < bounds).all()
        places = fitted.schema.slots[0][1]
        assert sum(map(len, places.values())) == sum(part.shape[1] for part in inputs.values())

    def test_a_row_is_encoded_alike_alone_and_among_others(self, fitted):
        whole = fitted.encode()
        one = Table.read(self.frame().iloc[[3]], fitted.schema).encode()
        assert all(torch.equal(one[part][0], whole[part][3]) for part in whole)

    def test_missing_is_told_from_every_value(self, fitted):
        inputs = fitted.encode()
        seen = [
            tuple(row) for row in torch.cat([inputs["categories"], inputs["numbers"]], 1).tolist()
        ]
        missing = fitted.values["c"].missing
        assert missing.tolist() == self.frame()["c"].isna().tolist()
        gone = {row for row, gap in zip(seen, missing, strict=True) if gap}
        assert len(gone) == 1
        assert not gone & {row for row, gap in zip(seen, missing, strict=True) if not gap}

    def test_gaps_that_training_never_saw_are_encoded_and_told(self):
        fitted = self.table(self.frame(gaps=False))
        column = fitted.schema.column("c")
        assert not column.gaps
        later = Table.read(self.frame().iloc[:1], fitted.schema)
        assert later.missing["c"] == 1
        assert torch.isfinite(later.encode()["numbers"]).all()

    def test_all_missing_later(self, fitted):
        later = Table.read(self.frame().assign(c=None), fitted.schema)
        column = fitted.schema.column("c")
        assert column.describe(later.values["c"]) == ("no value", None)
        assert column.typical(later.values["c"]).missing.tolist() == [True]
        assert column.unseen(later.values["c"]) == 0
        assert len(later.encode()["numbers"]) == 80

    def test_one_value_throughout(self):
        frame = self.frame(gaps=False)
        frame["c"] = frame["c"].iloc[0]
        fitted = self.table(frame)
        assert torch.isfinite(fitted.encode()["numbers"]).all()
        summary, bins = fitted.schema.column("c").describe(fitted.values["c"])
        assert summary
        assert sum(bins.counts) == 80

    def test_a_thousand_values(self):
        fitted = self.table(self.frame(3000))
        assert torch.isfinite(fitted.encode()["numbers"]).all()

    def test_rows_of_weight_zero_teach_nothing(self):
        weights = np.arange(80) % 2.0
        every = self.table(self.frame(), weights=weights).schema.column("c").edges
        frame = self.frame()
        frame.loc[::2, "c"] = frame["c"].iloc[1]
        assert self.table(frame, weights=weights).schema.column("c").edges == every

    def test_it_describes_what_it_holds(self, fitted):
        summary, bins = fitted.schema.column("c").describe(fitted.values["c"])
        assert summary
        assert sum(bins.counts) <= 80 - fitted.missing["c"]

    def test_a_typical_row_is_one_of_its_rows(self, fitted):
        column, values = fitted.schema.column("c"), fitted.values["c"]
        typical = column.typical(values)
        assert len(typical) == 1
        assert column.show(typical.data[0]) in {column.show(value) for value in values.known}

    def test_counts_are_of_all_rows_and_add(self, fitted):
        ones = np.ones(80)
        whole, first, second = (
            fitted.count(np.arange(*part), ones).columns["c"] for part in [(80,), (30,), (30, 80)]
        )
        both = first.joined(second, 1.0)
        assert whole.rows == 80
        assert whole.counts[0] == fitted.missing["c"]
        assert both.counts == whole.counts
        assert both.total == pytest.approx(whole.total)
        assert fitted.schema.column("c").moved(whole, whole).new == {}

    def test_the_rows_of_an_update_leave_old_codes_as_they_were(self, fitted):
        before = fitted.encode()
        grown = Table.read(self.frame(), fitted.schema, learn=True).grown(np.arange(80))
        after = grown.encode()
        assert torch.equal(before["numbers"], after["numbers"])
        old = torch.tensor(fitted.schema.cardinalities, dtype=torch.int64)
        known = (before["categories"] != 1) & (before["categories"] < old)
        assert torch.equal(before["categories"][known], after["categories"][known])

    def test_a_bad_cell_is_named_with_a_remedy(self, fitted):
        if self.bad is None:
            pytest.skip("every cell is of the kind")
        frame = self.frame()
        frame.loc[4, "c"] = self.bad
        with pytest.raises(
            InputError, match=rf"row 5, column 'c': .*found '{self.bad}'.*--missing"
        ):
            Table.read(frame, fitted.schema, "t.csv")

    def test_nothing_is_of_the_kind_where_there_is_nothing(self):
        kind = next(kind for kind in self.kinds if kind.kind == self.kind)
        assert kind.reject(RawColumn("c", pd.Series([None, None])))
