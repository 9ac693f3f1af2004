"""Columns of which nothing can be learnt."""

from dataclasses import dataclass
from typing import ClassVar

from counterpoint.table.columns._column import Column
from counterpoint.table.columns._raw import RawColumn

_FEW_LEVELS = 50


@dataclass(frozen=True)
class Empty(Column):
    """No value in any row."""

    kind: ClassVar[str] = "empty"
    left_out = "no value in any row"

    @classmethod
    def reject(cls, raw: RawColumn) -> str:
        """See `Column`."""
        return "" if raw.nature == "nothing" else "it has values"


@dataclass(frozen=True)
class Nested(Column):
    """Lists, records or bytes in every cell, as Parquet files and frames have them."""

    kind: ClassVar[str] = "nested"
    left_out = "its cells hold several values each, or bytes; a column a part can be used"

    @classmethod
    def reject(cls, raw: RawColumn) -> str:
        """See `Column`."""
        return "" if raw.nature == "lists, records or bytes" else f"it holds {raw.nature}"


@dataclass(frozen=True)
class Identifier(Column):
    """Names of rows: they count, or hardly any repeats, so that nothing carries over to others."""

    kind: ClassVar[str] = "id"
    left_out = "a free id: it counts the rows, or hardly any value repeats"

    @classmethod
    def reject(cls, raw: RawColumn) -> str:
        """See `Column`."""
        if raw.counts_rows:
            return ""
        if raw.nature != "texts":
            return f"it holds {raw.nature}"
        if raw.costume:
            return f"it holds {raw.costume}"
        texts = raw.texts
        # a few distinct values are levels, however few rows there are to repeat them
        return "its values repeat" if texts.nunique() <= max(_FEW_LEVELS, 0.5 * len(texts)) else ""
