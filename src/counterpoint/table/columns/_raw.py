"""A column as it came, and what it is read as: every reading of cells is here, once a column."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from counterpoint.errors import InputError
from counterpoint.table.columns._read import refuse_names

_FEW = 20


@dataclass(frozen=True)
class ParsedColumn:
    """A parsed column: one entry a row of whatever its kind makes of a cell.

    Attributes:
        data: (N,), float64 of numbers, days of dates, texts of levels; anything where missing.
        missing: (N,), bool.
    """

    data: np.ndarray
    missing: np.ndarray

    def __len__(self) -> int:
        return len(self.missing)

    def take(self, rows: np.ndarray) -> "ParsedColumn":
        """Some rows, by their places or a mask."""
        return ParsedColumn(self.data[rows], self.missing[rows])

    @property
    def known(self) -> np.ndarray:
        """The data of rows that have a value."""
        return self.data[~self.missing]


@dataclass(frozen=True)
class RawColumn:
    """One column before it has a kind; a reading is made when it is asked for, and then kept.

    Attributes:
        name: of the column.
        cells: as they came, (N,).
        where: the table's name, for messages.
        dates: the order in dates such as 01/02/2024; see `counterpoint.recipe.Data`.
    """

    name: str
    cells: pd.Series
    where: str = "table"
    dates: str = ""
    _stamps: dict[str, pd.Series] = field(
        default_factory=dict[str, pd.Series], repr=False, compare=False
    )

    @cached_property
    def missing(self) -> np.ndarray:
        """Which cells hold nothing."""
        return self.cells.isna().to_numpy()

    @cached_property
    def texts(self) -> pd.Series:
        """The cells that hold something, as texts."""
        return self.cells[~self.missing].astype(str)

    @cached_property
    def nature(self) -> Literal["nothing", "booleans", "dates", "numbers", "texts"]:
        """What the file said that the cells are: a CSV says of all that they are texts."""
        if self.missing.all():
            return "nothing"
        types = pd.api.types
        dtype = self.cells.dtype
        if types.is_bool_dtype(dtype):
            return "booleans"
        if types.is_datetime64_any_dtype(dtype):
            return "dates"
        return "numbers" if types.is_numeric_dtype(dtype) else "texts"

    @cached_property
    def numbers(self) -> np.ndarray:
        """The cells as float64; NaN where one is missing or reads as no number."""
        cells = self.cells
        if self.nature not in ("booleans", "numbers"):
            # a cell by itself: an array of texts would be read by its first ones
            cells = pd.to_numeric(cells.astype("object").where(~self.missing), errors="coerce")
        return cells.to_numpy(dtype=np.float64, na_value=np.nan)

    @cached_property
    def numeric_share(self) -> float:
        """The share of the cells that hold something which reads as a number."""
        return float((~np.isnan(self.numbers[~self.missing])).mean())

    @cached_property
    def counts_rows(self) -> bool:
        """Whether the cells are consecutive whole numbers in order: a row number, no quantity."""
        if self.nature not in ("numbers", "texts") or self.numeric_share < 1.0:
            return False
        known = self.numbers[~self.missing]
        counted = len(known) >= _FEW and bool(np.isfinite(known).all())
        return counted and bool((np.diff(known) == 1.0).all())

    @cached_property
    def labels(self) -> np.ndarray:
        """The cells as texts, missing ones None; numbers are written the shortest way.

        True and false are written alike whatever file they come from.
        """
        cells = self.cells
        if pd.api.types.is_float_dtype(cells.dtype):
            texts = cells.map(lambda value: f"{value:.15g}", na_action="ignore").astype("object")
        else:
            texts = cells.map(str, na_action="ignore").astype("object")
            texts = texts.replace(
                {"True": "true", "False": "false", "TRUE": "true", "FALSE": "false"}
            )
        return texts.where(~self.missing, None).to_numpy(dtype=object)

    def stamps(self, form: str) -> pd.Series:
        """The cells as UTC time stamps by one format; NaT where it does not fit."""
        if form not in self._stamps:
            texts = np.full(len(self.cells), None, dtype=object)
            texts[~self.missing] = self.texts
            self._stamps[form] = _read_stamps(pd.Series(texts), form)
        return self._stamps[form]

    def fits(self, form: str, share: float) -> bool:
        """Whether (nearly) all cells that hold something are dates of a format."""
        # most columns show on their first cells that a format does not fit
        if _read_stamps(self.texts.head(_FEW), form).notna().mean() < share:
            return False
        return bool(self.stamps(form)[~self.missing].notna().mean() >= share)

    def refuse(self, bad: np.ndarray, rule: str) -> None:
        """Refuse cells that break a rule of the column's kind.

        Raises:
            InputError: one does; names the first one's row, the column, the value and a remedy.
        """
        if not bad.any():
            return
        row = int(np.flatnonzero(bad)[0])
        count = int(bad.sum())
        more = f" (and {count - 1:,} more)" if count > 1 else ""
        raise InputError(
            f"{self.where}: row {row + 1:,}, column {self.name!r}: expected {rule}, found"
            f" {str(self.cells.iloc[row])[:40]!r}{more}; correct it, or when fitting name it as"
            f" missing with --missing, or take the column as --category {self.name} or --ignore"
            f" {self.name}"
        )


def _read_stamps(cells: pd.Series, form: str) -> pd.Series:
    """Cells as UTC time stamps by one format for the whole column; NaT where it does not fit."""
    return pd.to_datetime(cells, errors="coerce", format=form, utc=True)


def raw_columns(frame: pd.DataFrame, where: str, dates: str = "") -> Mapping[str, RawColumn]:
    """The columns of a frame by name."""
    refuse_names(frame.columns, where)
    return {str(name): RawColumn(str(name), frame[name], where, dates) for name in frame.columns}
