"""Tables: columns of any kind in, fitted models and predictions with honest intervals out.

`read_table` reads a CSV, TSV or Parquet file; `fit_table` takes the frame and a
`counterpoint.recipe.Recipe`, tells what each column holds, divides the rows, trains a few small
networks and puts an exact Gaussian on the last layer of each target. Out comes a `TableModel`,
which predicts any frame with the same columns and is kept as one verified folder; its `findings`
are what the report draws. `update_table` teaches it the rows of a new table without the old ones
(`counterpoint.recipe.Update` says how). `jobs` does either once, whatever is killed on the way.
`TableRegressor` and `TableClassifier` are the same with
scikit-learn's interface.

>>> import numpy as np, pandas as pd
>>> from counterpoint.table import TableRegressor
>>> x = np.linspace(0.0, 4.0, 80)
>>> frame = pd.DataFrame({"length": x, "shade": ["light", "dark"] * 40})
>>> y = 2 * x + (frame.shade == "dark")
>>> model = TableRegressor(epochs=40, members=1, random_state=0).fit(frame, y)
>>> mean, std = model.predict(pd.DataFrame({"length": [1.0], "shade": ["dark"]}), return_std=True)
>>> bool(abs(mean[0] - 3.0) < 0.3), bool(std[0] > 0)
(True, True)
"""

from typing import TYPE_CHECKING, Any

from counterpoint.findings import Findings
from counterpoint.table.columns import KINDS, Column, Schema, Table
from counterpoint.table.columns._read import read_table
from counterpoint.table.fit._context import Context, Interrupted
from counterpoint.table.fit._fit import fit_table
from counterpoint.table.model import jobs
from counterpoint.table.model._model import TableModel
from counterpoint.table.targets._category import CategoryPrediction
from counterpoint.table.targets._number import NumberPrediction
from counterpoint.table.targets._prediction import Prediction, to_frame
from counterpoint.table.update import update_table

if TYPE_CHECKING:
    from counterpoint.table._embedder import TableEmbedder
    from counterpoint.table._estimators import TableClassifier, TableRegressor

__all__ = [
    "KINDS",
    "CategoryPrediction",
    "Column",
    "Context",
    "Findings",
    "Interrupted",
    "NumberPrediction",
    "Prediction",
    "Schema",
    "Table",
    "TableClassifier",
    "TableEmbedder",
    "TableModel",
    "TableRegressor",
    "fit_table",
    "jobs",
    "read_table",
    "to_frame",
    "update_table",
]


def __getattr__(name: str) -> Any:
    # scikit-learn is slow to import, and a model that only predicts does without
    if name in ("TableClassifier", "TableRegressor"):
        from counterpoint.table import _estimators

        return getattr(_estimators, name)
    if name == "TableEmbedder":
        from counterpoint.table._embedder import TableEmbedder

        return TableEmbedder
    raise AttributeError(f"module 'counterpoint.table' has no attribute {name!r}")
