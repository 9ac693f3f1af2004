"""Texts that repeat, and those that say yes or no."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from counterpoint.table.columns._levels import LevelColumn
from counterpoint.table.columns._notation import factorized
from counterpoint.table.columns._raw import RawColumn
from counterpoint.table.columns._spelling import is_truth, level_of, truth, twins
from counterpoint.table.targets._category import CategoryHead

_SHOWN = 3
_MOST_WORDS = 12


@dataclass(frozen=True)
class Category(LevelColumn):
    """Levels; whatever can be written is one."""

    kind: ClassVar[str] = "category"
    head_type = CategoryHead

    @classmethod
    def reject(cls, raw: RawColumn) -> str:
        """See `Column`."""
        return "it holds nothing" if raw.nature == "nothing" else ""

    @classmethod
    def find_form(cls, raw: RawColumn) -> str:
        """As many zeros as each cell has digits, where some begin with one; else empty."""
        digits = raw.texts.str.len().unique() if raw.code else []
        return "0" * int(digits[0]) if len(digits) == 1 else ""

    @classmethod
    def reading(cls, raw: RawColumn) -> str:
        """See `Column`: levels that look alike."""
        counts = _counts(raw)
        parts = [
            ", ".join(f"{level!r} ({counts[level]:,})" for level in lot[:_SHOWN])
            for lot in twins(counts)
        ]
        if not parts:
            return ""
        more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
        listed = "; ".join(parts[:_SHOWN])
        return f"levels differ in case or space alone, and count as different: {listed}{more}"

    def level(self, text: str) -> str:
        """See `LevelColumn`: zeros that a file has lost before a code are put back."""
        text = level_of(text)
        return text.zfill(len(self.form)) if self.form and text.isdecimal() else text


@dataclass(frozen=True)
class Boolean(LevelColumn):
    """Two levels that are words for true and false, or one of them."""

    kind: ClassVar[str] = "boolean"
    head_type = CategoryHead

    @classmethod
    def reject(cls, raw: RawColumn) -> str:
        """See `Column`."""
        if raw.nature == "booleans":
            return ""
        if raw.nature != "texts":
            return f"it holds {raw.nature}"
        # the words for true and false are fewer than this in every language
        words = raw.texts.unique()[:_MOST_WORDS]
        return "" if is_truth(words) else "its values are not words for true and false"

    @classmethod
    def find_form(cls, raw: RawColumn) -> str:
        """How true and false are spelt: the commonest word for each, as in ``yes|no``."""
        words = list(_counts(raw))
        yes = next((word for word in words if truth(word)), "")
        no = next((word for word in words if truth(word) is False), "")
        return f"{yes}|{no}"

    @classmethod
    def reading(cls, raw: RawColumn) -> str:
        """See `Column`: words of one meaning."""
        words = [str(word) for word in pd.unique(raw.labels[~raw.missing])]
        if len(words) <= 2:
            return ""
        yes, no = cls.find_form(raw).split("|")
        return f"{', '.join(map(repr, words[:_MOST_WORDS]))} are read as {yes!r} and {no!r}"

    def level(self, text: str) -> str:
        """See `LevelColumn`: every word for true is one level."""
        # folders written before spellings were one have no form, and their levels as they were
        said = truth(level_of(text)) if self.form else None
        if said is None:
            return text
        yes, _, no = self.form.partition("|")
        return (yes if said else no) or text


def _counts(raw: RawColumn) -> dict[str, int]:
    """Rows of each text, the commonest first."""
    _, texts, counts = factorized(pd.Series(raw.labels, dtype=object))
    return {texts[n]: int(counts[n]) for n in np.argsort(-counts, kind="stable")}
