"""From the cells of a table to what a network is given: every cell is parsed once.

In comes a data frame; `Table.plan` offers each column to an ordered list of kinds (`KINDS`), each
of which may reject it with a reason, gives it a role, and parses its cells (`ParsedColumn`). From
there on no one sees a cell: the columns of the `Schema` learn from the training rows
(`Table.learnt`), encode, describe and count. Out come the network's tensors and a schema that is
plain JSON at rest.

A kind is one class, an object of it one column. Another kind is a class of its own and a row in the
list that is passed to `counterpoint.table.fit_table`, before those that would take its columns.

>>> import numpy as np, pandas as pd
>>> from counterpoint.recipe import Data
>>> frame = pd.DataFrame({"length": [1.0, 3.0, None], "shade": ["light", "dark", "dark"]})
>>> table = Table.plan(frame, Data(target=("shade",)))
>>> table.schema.column("length").kind, table.values["length"].missing.tolist()
('number', [False, False, True])
>>> table.learnt(np.arange(3), np.ones(3)).encode()["numbers"].tolist()
[[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
>>> infer_kind(RawColumn("shade", frame["shade"])).rejected["boolean"]
'its values are not words for true and false'
"""

from counterpoint.table.columns._category import Boolean, Category
from counterpoint.table.columns._column import Column, Lesson, Moved, Role, UsableColumn
from counterpoint.table.columns._counts import ColumnCounts, TableCounts
from counterpoint.table.columns._date import Date
from counterpoint.table.columns._encoded import EmbeddingSpec, Encoded
from counterpoint.table.columns._kinds import KINDS, Inference, Kinds, find_kind, infer_kind
from counterpoint.table.columns._left_out import Empty, Identifier, Nested
from counterpoint.table.columns._levels import LevelColumn
from counterpoint.table.columns._number import Number
from counterpoint.table.columns._numeric import Feature, NumericColumn
from counterpoint.table.columns._origin import Origin, origin_of
from counterpoint.table.columns._raw import ParsedColumn, RawColumn
from counterpoint.table.columns._schema import Schema
from counterpoint.table.columns._split import SplitRule
from counterpoint.table.columns._table import Table

__all__ = [
    "KINDS",
    "Boolean",
    "Category",
    "Column",
    "ColumnCounts",
    "Date",
    "EmbeddingSpec",
    "Empty",
    "Encoded",
    "Feature",
    "Identifier",
    "Inference",
    "Kinds",
    "Lesson",
    "LevelColumn",
    "Moved",
    "Nested",
    "Number",
    "NumericColumn",
    "Origin",
    "ParsedColumn",
    "RawColumn",
    "Role",
    "Schema",
    "SplitRule",
    "Table",
    "TableCounts",
    "UsableColumn",
    "find_kind",
    "infer_kind",
    "origin_of",
]
