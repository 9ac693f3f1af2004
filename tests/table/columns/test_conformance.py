"""Every kind of column that is used is held to the same."""

import numpy as np
import pandas as pd

from counterpoint.table.columns import Table
from table.columns.conformance import UsableKind


class TestNumber(UsableKind):
    kind = "number"
    bad = "tall"

    def cells(self, rows):
        return [f"{value:.6f}" for value in np.random.default_rng(0).normal(size=rows)]


class TestNumberOfAnotherType(UsableKind):
    kind = "number"
    bad = "tall"

    def cells(self, rows):
        return list(np.random.default_rng(0).normal(size=rows))

    def frame(self, rows=80, gaps=True):
        frame = super().frame(rows, gaps)
        return frame.assign(c=frame["c"].astype(float)).astype({"c": object})


class TestDate(UsableKind):
    kind = "date"
    bad = "soon"

    def cells(self, rows):
        return list(pd.date_range("2020-01-01", periods=rows, freq="7h").strftime("%Y-%m-%d %H:%M"))


class TestDateWithTheDayFirst(UsableKind):
    kind = "date"
    bad = "2020-01-13"

    def cells(self, rows):
        return list(pd.date_range("2020-01-13", periods=rows).strftime("%d/%m/%Y"))


class TestCategory(UsableKind):
    kind = "category"

    def cells(self, rows):
        return [f"level {n % 1000 // 2}" for n in range(rows)]

    def test_levels_that_no_training_row_had_are_counted(self, fitted):
        column = fitted.schema.column("c")
        later = self.frame().assign(c="another")
        later.loc[0, "c"] = None
        assert column.unseen(Table.read(later, fitted.schema).values["c"]) == 79


class TestBoolean(UsableKind):
    kind = "boolean"

    def cells(self, rows):
        return [("yes", "no")[n * n % 3 % 2] for n in range(rows)]
