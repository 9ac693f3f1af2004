"""A column as it came, and what it is read as: every reading of cells is here, once a column."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from counterpoint.errors import InputError
from counterpoint.table.columns._durations import are_durations
from counterpoint.table.columns._moments import find_compact, find_ways, is_nothing, read_stamps
from counterpoint.table.columns._notation import Notation, Quantities, factorized
from counterpoint.table.columns._quantities import PLACEHOLDERS, in_threes, read_quantities
from counterpoint.table.columns._ranges import are_ranges
from counterpoint.table.columns._read import refuse_names
from counterpoint.table.columns._signs import Signs

_FEW = 20
_CODE = r"[+-]?0\d+"
_DATE_LIKE = r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}(?:[ T].*)?"
_DATES = 0.95
_COMPACT = (180_000, 21_000_000_000_000)
_HALF = 0.5
_SHOWN = 3
_FIGURES = r"[(\[{'\"]?\s?[+\-−~]?[.,]?\d"
_MOST_SHAPES = 20
_SAMPLE = 30
_PARTS = (list, tuple, set, dict, bytes, bytearray, np.ndarray)


@dataclass(frozen=True)
class ParsedColumn:
    """A parsed column: one entry a row of whatever its kind makes of a cell.

    Attributes:
        data: (N,), float64 of numbers, days of dates, texts of levels; anything where missing.
        missing: (N,), bool.
        said: how cells were read that are not written as they were in the table of the fit.
    """

    data: np.ndarray
    missing: np.ndarray
    said: str = ""

    def __len__(self) -> int:
        return len(self.missing)

    def take(self, rows: np.ndarray) -> "ParsedColumn":
        """Some rows, by their places or a mask."""
        return ParsedColumn(self.data[rows], self.missing[rows], self.said)

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
        signs: what is known of how the table's numbers are written.
        later: whether the column's kind is known from a fit, so that it cannot be chosen.
    """

    name: str
    cells: pd.Series
    where: str = "table"
    dates: str = ""
    signs: Signs = field(default_factory=Signs)
    later: bool = False
    _forms: dict[float, str | None] = field(
        default_factory=dict[float, str | None], repr=False, compare=False
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
    def padded(self) -> pd.Series:
        """The same of every row, missing ones None."""
        texts = np.full(len(self.cells), None, dtype=object)
        texts[~self.missing] = self.texts
        return pd.Series(texts, dtype=object)

    @cached_property
    def blank(self) -> np.ndarray:
        """Which cells hold nothing, or a word or a date of zeros that says so."""
        blank = self.missing.copy()
        if self.nature == "texts":
            # each text once: most repeat, and a million cells are many calls
            codes, texts, _ = factorized(pd.Series(self.texts, dtype=object))
            said = [text.casefold() in PLACEHOLDERS or is_nothing(text) for text in texts]
            blank[~self.missing] = np.array(said, dtype=bool)[codes]
        return blank

    @cached_property
    def stated(self) -> pd.Series:
        """The cells that are not blank, as texts."""
        return self.cells[~self.blank].astype(str)

    @cached_property
    def nature(
        self,
    ) -> Literal[
        "nothing",
        "lists, records or bytes",
        "booleans",
        "dates",
        "durations",
        "numbers",
        "texts",
    ]:
        """What the file said that the cells are: a CSV says of all that they are texts."""
        if self.missing.all():
            return "nothing"
        types = pd.api.types
        dtype = self.cells.dtype
        # before numbers, which pandas takes them for, too
        if types.is_bool_dtype(dtype):
            return "booleans"
        if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
            return "dates"
        if types.is_timedelta64_dtype(dtype):
            return "durations"
        if types.is_numeric_dtype(dtype):
            return "numbers"
        first = self.cells.iloc[int(np.argmin(self.missing))]
        return "lists, records or bytes" if isinstance(first, _PARTS) else "texts"

    @cached_property
    def numbers(self) -> np.ndarray:
        """The cells as float64; NaN where one is missing or reads as no plain number."""
        cells = self.cells
        if self.nature not in ("booleans", "numbers"):
            # a cell by itself: an array of texts would be read by its first ones
            cells = pd.to_numeric(cells.astype("object").where(~self.missing), errors="coerce")
        return cells.to_numpy(dtype=np.float64, na_value=np.nan)

    @cached_property
    def quantities(self) -> Quantities:
        """The cells as numbers, whatever is written around them."""
        return self.quantities_like(None)

    def quantities_like(self, earlier: Notation | None) -> Quantities:
        """The same of a column whose notation is known from an earlier table."""
        if self.nature != "texts":
            return Quantities(self.numbers, self.missing)
        return read_quantities(self.padded, self.numbers, self.signs, earlier)

    @cached_property
    def numeric_share(self) -> float:
        """The share of the cells that hold something which reads as a plain number."""
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
    def code(self) -> str:
        """A cell that is a whole number behind a zero, as only names have; empty: there is none."""
        if self.nature != "texts" or self.numeric_share < 1.0:
            return ""
        return next(iter(self.texts[self.texts.str.fullmatch(_CODE)]), "")

    @cached_property
    def thousandfold(self) -> str:
        """A cell with a point where all points could stand between thousands; else empty."""
        if self.nature != "texts" or self.numeric_share < 1.0:
            return ""
        pointed = self.texts[self.texts.str.contains(".", regex=False)]
        return str(pointed.iloc[0]) if len(pointed) and in_threes(pointed) else ""

    @cached_property
    def compact(self) -> str | None:
        """The format of dates that are whole numbers such as 20240229; None: they are none."""
        if self.nature not in ("numbers", "texts") or self.numeric_share < 1.0:
            return None
        first = self.numbers[~self.missing][:_FEW]
        # writing a million numbers as texts is slow, and most columns show here that they are none
        if not ((first > _COMPACT[0]) & (first < _COMPACT[1])).all() or (first % 1).any():
            return None
        return find_compact(pd.Series(self.labels[~self.missing], dtype=object))

    @cached_property
    def costume(self) -> str:
        """What the cells are that are nearly numbers or dates, in words; empty: they are not."""
        if self.nature != "texts" or self.code or not len(self.stated):
            return ""
        like = self.stated.str.fullmatch(_DATE_LIKE).mean() >= _DATES
        if like and not self.durations and not self.date_form(_DATES) and self._singly_dates:
            some = " and ".join(map(repr, self.stated.unique()[:2]))
            return f"dates in ways that contradict one another, such as {some}"
        return self._words_among_dates or self.quantities.costume

    @cached_property
    def _singly_dates(self) -> bool:
        """Whether nearly every cell is a date by some way: 1.12.0 and 192.168.0.1 are by none."""
        distinct = self.stated.unique()[:_SAMPLE]
        alone = [find_ways(pd.Series([text]), 1.0, self.dates) for text in distinct]
        return float(np.mean([way is not None for way in alone])) >= _DATES

    @cached_property
    def _words_among_dates(self) -> str:
        """What is no date among dates; empty: there is nothing, or they are none."""
        dated = self.stated.str.contains(r"\d", regex=True)
        share = float(dated.mean())
        # years among words are numbers among words
        if not _HALF <= share < 1.0 or self.numeric_share >= _HALF:
            return ""
        if find_ways(self.stated[dated], _DATES, self.dates) is None:
            return ""
        words = self.stated[~dated].value_counts().index[:_SHOWN]
        listed = ", ".join(repr(str(word)[:40]) for word in words)
        return f"{share:.0%} dates, and cells such as {listed}"

    @cached_property
    def unread(self) -> str:
        """A cell where all begin with figures and have a few shapes; empty: they do not, or read.

        So are 15.3 ± 0.3, 5'11", and 120/80: quantities to whoever wrote them.
        """
        if self.nature != "texts" or self.numeric_share > 0 or not len(self.stated):
            return ""
        distinct = pd.Series(self.stated.unique(), dtype=object)
        if distinct.str.match(_FIGURES).mean() < _DATES:
            return ""
        shapes = distinct.str.replace(r"\d+", "", regex=True).nunique()
        return str(distinct.iloc[0]) if shapes <= min(_MOST_SHAPES, _HALF * len(distinct)) else ""

    @cached_property
    def durations(self) -> bool:
        """Whether the cells are lengths of time."""
        texts = self.nature == "texts" and len(self.stated) > 0
        return self.nature == "durations" or (texts and are_durations(self.stated))

    @cached_property
    def ranges(self) -> bool:
        """Whether the cells are ranges that part a scale."""
        return self.nature == "texts" and len(self.stated) > 0 and are_ranges(self.stated)

    @cached_property
    def labels(self) -> np.ndarray:
        """The cells as texts, missing ones None; numbers are written the shortest way.

        True and false are written alike whatever file they come from.
        """
        cells = self.cells
        if pd.api.types.is_float_dtype(cells.dtype):
            # 15 digits: what every float64 keeps of a decimal number, so 0.1 + 0.2 is 0.3 again
            texts = cells.map(lambda value: f"{value:.15g}", na_action="ignore").astype("object")
        else:
            texts = cells.map(str, na_action="ignore").astype("object")
            texts = texts.replace(
                {"True": "true", "False": "false", "TRUE": "true", "FALSE": "false"}
            )
        return texts.where(~self.missing, None).to_numpy(dtype=object)

    def stamps(self, form: str) -> pd.Series:
        """The cells as UTC time stamps by one form; NaT where it does not fit."""
        numbers = self.nature == "numbers"
        return read_stamps(pd.Series(self.labels, dtype=object) if numbers else self.padded, form)

    def date_form(self, share: float) -> str | None:
        """The form in which (nearly) all cells that hold something are dates; see `find_ways`."""
        if share not in self._forms:
            held = len(self.stated) > 0
            self._forms[share] = find_ways(self.stated, share, self.dates) if held else None
        return self._forms[share]

    def refuse(self, bad: np.ndarray, rule: str, *, target: bool = False) -> None:
        """Refuse cells that break a rule of the column's kind.

        Args:
            bad: which, (N,).
            rule: what a cell should be.
            target: whether the column is to be predicted, so that it cannot be left out.

        Raises:
            InputError: one does; names the first one's row, the column, the value and a remedy.
        """
        if not bad.any():
            return
        row = int(np.flatnonzero(bad)[0])
        count = int(bad.sum())
        more = f" (and {count - 1:,} more)" if count > 1 else ""
        ways = ["correct it or take the row out", "name it as missing with --missing"]
        if not self.later:
            # a kind that was learnt cannot be told anew
            others = [f"--category {self.name}"] + ([] if target else [f"--ignore {self.name}"])
            ways.append(f"take the column as {' or '.join(others)}")
        raise InputError(
            f"{self.where}: row {row + 1:,}, column {self.name!r}: expected {rule}, found"
            f" {str(self.cells.iloc[row])[:40]!r}{more}; {', or '.join(ways)}"
        )


def raw_columns(
    frame: pd.DataFrame,
    where: str,
    dates: str = "",
    signs: Signs | None = None,
    *,
    later: bool = False,
) -> Mapping[str, RawColumn]:
    """The columns of a frame by name."""
    names = {name: unicodedata.normalize("NFC", str(name)) for name in frame.columns}
    refuse_names([names[name] for name in frame.columns], where)
    signs = signs or Signs()
    return {
        own: RawColumn(own, frame[name], where, dates, signs, later) for name, own in names.items()
    }
