"""A table with one column of cells to look at."""

import numpy as np
import pandas as pd

from counterpoint.recipe import Data
from counterpoint.table.columns import Table
from counterpoint.table.columns._origin import Origin, note_origin


def plan(cells, separator=",", rows=60, **data):
    """A table whose column "c" has these cells over and over, under the target "y"."""
    repeated = [cells[n % len(cells)] for n in range(max(rows, len(cells)))]
    frame = pd.DataFrame({"c": pd.Series(repeated, dtype=object)})
    frame["y"] = np.arange(len(frame)) ** 2 % 11
    frame["x"] = np.arange(len(frame)) ** 3 % 17
    note_origin(frame, Origin(separator))
    data["kinds"] = {**data.get("kinds", {}), "y": "number"}
    return Table.plan(frame, Data(target=("y",), **data), where="t.csv")


def said(table):
    return " | ".join(table.remarks)
