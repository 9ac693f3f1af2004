"""Rows of a table in whatever holds them, as a pandas frame."""

from typing import Any

import narwhals.stable.v2 as nw
import pandas as pd


def to_pandas(rows: Any) -> Any:
    """A frame of pandas from one of another library; what is no frame stays as it is.

    Args:
        rows: of pandas, polars (lazy, too), pyarrow or any other that narwhals knows.
    """
    if isinstance(rows, pd.DataFrame):
        return rows
    found: Any = nw.from_native(rows, pass_through=True)
    if isinstance(found, nw.LazyFrame):
        found = found.collect()
    return found.to_pandas() if isinstance(found, nw.DataFrame) else rows
