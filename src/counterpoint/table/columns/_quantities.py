"""The cells of a column as numbers, whatever is written around them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from counterpoint.table.columns._cells import (
    PLACEHOLDERS,
    WrittenNumber,
    is_money,
    read_cell,
    unit_of,
)
from counterpoint.table.columns._notation import Notation, Quantities, factorized
from counterpoint.table.columns._signs import Found, Signs, find_signs, value_of

_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_RANGE = re.compile(
    r"\D{0,3}?(\d[\d.]*)\s?[a-zA-Z%€$]{0,3}\s?(?:-|–|—|to|bis|\.\.)\s?\D{0,3}?(\d[\d.]*)"
    r"\s?[a-zA-Z%€$]{0,6}"
)
_INTERVAL = re.compile(r"[(\[]\s?(-?[\d.]+)\s?[,;]\s?(-?[\d.]+)\s?[)\]]")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_HALF = 0.5
_MOSTLY = 0.95
_FEW = 20
_MOST_UNITS = 5


def read_quantities(
    texts: pd.Series, plain: np.ndarray, signs: Signs, earlier: Notation | None = None
) -> Quantities:
    """Read the cells of a text file as numbers.

    Args:
        texts: the cells, (N,), missing ones None or NA.
        plain: what they are as plain numbers with a decimal point; NaN where they are not.
        signs: what is known of the table.
        earlier: how an earlier table wrote the column.

    >>> def read(*texts):
    ...     return read_quantities(pd.Series(texts), np.full(len(texts), np.nan), Signs())
    >>> read("$1,250.50", "-", "$950").numbers.tolist()
    [1250.5, nan, 950.0]
    >>> read("12 kg", "11 lb").costume, read("20,628", "19,339").doubt
    ("numbers with different units, such as 'kg' and 'lb'", \
"is '20,628' 20628 or 20.628? say --thousands , or --decimal ,")
    """
    missing = texts.isna().to_numpy()
    # most columns are plain numbers, of which nothing has to be taken apart
    sure = signs.decimal == "." or signs.thousands == "none"
    open_ = not signs.decimal and not signs.thousands
    if not np.isnan(plain[~missing]).any() and (
        sure or (open_ and _pointed(texts[~missing], earlier))
    ):
        return Quantities(plain, missing)
    codes, distinct, counts = factorized(texts)
    return Distinct.of(distinct, counts).read(signs, earlier).rows(codes)


def _pointed(texts: pd.Series, earlier: Notation | None) -> bool:
    """Whether points in plain numbers are sure to separate decimals."""
    if earlier is not None:
        return earlier.pair == (".", "")
    # most columns show it on their first cells
    return not in_threes(texts.head(_FEW)) or not in_threes(texts)


def in_threes(texts: pd.Series) -> bool:
    """Whether every point, if there are any, could stand between thousands."""
    held = texts[texts.str.contains(".", regex=False)]
    return bool(held.str.fullmatch(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+").all())


@dataclass(frozen=True)
class Distinct:
    """The distinct cells of a column.

    Attributes:
        texts: each.
        counts: rows of each.
        absent: which say that there is no value.
        cells: each taken apart; None where it holds no number.
    """

    texts: Sequence[str]
    counts: np.ndarray
    absent: np.ndarray
    cells: Sequence[WrittenNumber | None]

    @classmethod
    def of(cls, texts: Sequence[str], counts: np.ndarray) -> "Distinct":
        """Take the cells apart; of words, which hardly have digits, none."""
        absent = np.array([text.casefold() in PLACEHOLDERS for text in texts], dtype=bool)
        digits = np.array([any(map(str.isdecimal, text)) for text in texts], dtype=bool)
        worth = counts[digits].sum() >= _HALF * counts[~absent].sum()
        pairs = zip(texts, digits, strict=True)
        cells = [read_cell(text) if digit and worth else None for text, digit in pairs]
        return cls(texts, counts, absent, cells)

    def read(self, signs: Signs, earlier: Notation | None = None) -> Quantities:
        """What each of them is as a number."""
        known = [cell for cell in self.cells if cell is not None]
        if self._share([cell is not None for cell in self.cells]) < _HALF:
            return self._none(self._ranges())
        # of <=50K and >50K the sign is what matters: these are classes
        if self._share([cell is not None and cell.limit for cell in self.cells]) > _HALF:
            return self._none()
        unlike = _unlike(known)
        if unlike is not None:
            return self._none(unlike)
        found = find_signs([_core(cell) for cell in known], signs, earlier and earlier.pair)
        if found.pair is None:
            return self._none(_mixed_signs(known))
        pairs = zip(self.texts, self.cells, strict=True)
        numbers = np.array([_number(cell, found.pair, text) for text, cell in pairs])
        notation = Notation(*found.pair, *_units(known))
        doubt = self._doubt(found) or _foreign(notation, earlier)
        said = "" if doubt else self._said(numbers, found, signs)
        # placeholders are known here and not in the reader: among words they may be levels
        absent = self.absent.copy()
        return Quantities(numbers, absent, notation, said, doubt, self._words(numbers))

    def _share(self, chosen: Sequence[bool]) -> float:
        """Of the rows that hold something, those of some of the cells."""
        held = self.counts[~self.absent].sum()
        return float(self.counts[np.array(chosen, dtype=bool)].sum() / held) if held else 0.0

    def _none(self, costume: str = "") -> Quantities:
        """Cells that are no numbers but where they are plain ones."""
        # a column that was told to be of numbers refuses the first cell that is none, not the first
        plain = [float(t) if _PLAIN.fullmatch(t) else np.nan for t in self.texts]
        return Quantities(np.array(plain), np.zeros(len(plain), dtype=bool), costume=costume)

    def _ranges(self) -> str:
        found = [_is_range(text) for text in self.texts]
        if self._share(found) < _HALF:
            return ""
        return f"ranges such as {self.texts[found.index(True)]!r}"

    def _words(self, numbers: np.ndarray) -> str:
        """What is no number among numbers; empty where that is too rare to be more than a slip."""
        strange = np.isnan(numbers) & ~self.absent
        share = 1.0 - self._share(strange.tolist())
        if share >= _MOSTLY or not strange.any():
            return ""
        order = np.argsort(-self.counts, kind="stable")
        words = ", ".join(repr(self.texts[n][:40]) for n in order if strange[n])
        return f"{share:.0%} numbers, and cells such as {_first(words)}"

    def _doubt(self, found: Found) -> str:
        if not found.open or found.pair is None or found.other is None:
            return ""
        text, values = self._example(found.pair, found.other)
        flags = [
            f"--thousands {pair[1]}" if pair[1] else f"--decimal {pair[0]}"
            for pair in (found.pair, found.other)
        ]
        return f"is {text!r} {values[0]} or {values[1]}? say {flags[0]} or {flags[1]}"

    def _example(self, *pairs: tuple[str, str]) -> tuple[str, list[str]]:
        """A cell that pairs of signs read differently, and how each does."""
        for text, cell in zip(self.texts, self.cells, strict=True):
            values = [f"{_number(cell, pair):.15g}" for pair in pairs]
            if cell is not None and len(set(values)) == len(pairs):
                return text, values
        return self.texts[0], ["" for _ in pairs]

    def _said(self, numbers: np.ndarray, found: Found, signs: Signs) -> str:
        """How cells are read that are not plain numbers."""
        pairs = list(enumerate(zip(self.texts, self.cells, strict=True)))
        # who named the signs need not hear of them
        told = found.pair if signs.told else None
        limits = [n for n, (_, cell) in pairs if cell is not None and cell.limit]
        dressed = [
            n
            for n, (text, cell) in pairs
            if cell is not None and not cell.limit and not _is_plain(text, numbers[n], told)
        ]
        absent = np.flatnonzero(self.absent).tolist()
        parts = list[str]()
        if dressed:
            place = max(dressed, key=self._dress)
            parts.append(f"{self.texts[place]!r} is read as {numbers[place]:.15g}")
            parts[-1] += self._otherwise(found)
        if limits:
            some, rows = self.texts[limits[0]], int(self.counts[limits].sum())
            parts.append(f"limits such as {some!r} ({rows:,} cells) are read as the limit itself")
        if absent:
            words = " or ".join(repr(self.texts[n]) for n in absent[:3])
            rows = int(self.counts[absent].sum())
            parts.append(f"{words} ({rows:,} cells) is taken as no value")
        return "; ".join(parts)

    def _otherwise(self, found: Found) -> str:
        if found.other is None or found.pair is None:
            return ""
        text, values = self._example(found.pair, found.other)
        flag = "--thousands none" if found.other[0] == "." else f"--decimal {found.other[0]}"
        return f" ({flag} would make {text!r} {values[1]})"

    def _dress(self, place: int) -> tuple[int, int]:
        cell = self.cells[place]
        return (0 if cell is None else cell.dressed), len(self.texts[place])


def _core(cell: WrittenNumber) -> str:
    """The digits that show what the signs among them mean.

    Before a power of ten nobody writes thousands: in 1,257e+04 a further place says so.
    """
    return f"{cell.core}0" if cell.exponent else cell.core


def _number(cell: WrittenNumber | None, pair: tuple[str, str], text: str = "") -> float:
    if cell is None:
        # infinity is refused as what it is, and not as a word
        return float(text) if _INFINITE.fullmatch(text) else float("nan")
    try:
        value = float(value_of(cell.core, pair) + cell.exponent) * cell.factor
    except ValueError:
        return float("nan")
    return -value if cell.negative else value


def _is_plain(text: str, value: float, pair: tuple[str, str] | None = None) -> bool:
    text = text if pair is None else value_of(text, pair)
    return _PLAIN.fullmatch(text) is not None and bool(float(text) == value)


def _units(known: Sequence[WrittenNumber]) -> tuple[str, str]:
    """What is written before and after numbers of one unit."""
    before = next((cell.before for cell in known if cell.before), "")
    return before, next((cell.after for cell in known if cell.after), "")


def _unlike(known: Sequence[WrittenNumber]) -> str | None:
    """Why numbers are not of one unit: a reason, or none for what only begins with one.

    None where they are.
    """
    before = {unit_of(cell.before): cell.before for cell in known if cell.before}
    after = {unit_of(cell.after): cell.after for cell in known if cell.after}
    # a word before whole numbers makes them names, as in A12; before 7.2 it does not
    worded = any(not is_money(unit) for unit in before.values())
    if worded and all(cell.core.isdecimal() for cell in known):
        return ""
    for units in (before, after):
        if len(units) > 1:
            some = " and ".join(map(repr, list(units.values())[:2]))
            # many, and they are words of texts that begin with a number
            few = len(units) <= _MOST_UNITS
            return f"numbers with different units, such as {some}" if few else ""
    # 0.48 beside 51.3 % may be 48 % or half a per cent
    if "%" in after and any(not cell.after for cell in known):
        return "percent signs in some cells and none in others"
    # brackets around every number are a habit, not a sign
    return "" if all(cell.bracketed for cell in known) else None


def _foreign(notation: Notation, earlier: Notation | None) -> str:
    """Why numbers are not those of an earlier table, by their unit."""
    # without its unit a number is taken to be of the known one, as most exports drop it
    if earlier is None or not earlier.unit or not notation.unit:
        return ""
    known = {unit_of(earlier.before), unit_of(earlier.after)}
    if {unit_of(notation.before), unit_of(notation.after)} <= known | {""}:
        return ""
    return f"it holds {notation.unit!r}, where the model knows {earlier.unit!r}"


def _mixed_signs(known: Sequence[WrittenNumber]) -> str:
    cores = [cell.core for cell in known]
    point = next((core for core in cores if "." in core), "")
    comma = next((core for core in cores if "," in core), "")
    if point and comma and point != comma:
        return f"numbers with points and commas in two ways, such as {point!r} and {comma!r}"
    return ""


def _is_range(text: str) -> bool:
    found = _INTERVAL.fullmatch(text.strip()) or _RANGE.fullmatch(text.strip())
    if found is None:
        return False
    try:
        return float(found[1]) < float(found[2])
    except ValueError:
        return False


def _first(words: str, most: int = 100) -> str:
    return words if len(words) <= most else words[:most] + "…"
