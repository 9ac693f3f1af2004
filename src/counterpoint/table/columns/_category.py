"""Texts that repeat, and those that say yes or no."""

from dataclasses import dataclass
from typing import ClassVar

from counterpoint.table.columns._levels import LevelColumn
from counterpoint.table.columns._raw import RawColumn
from counterpoint.table.targets._category import CategoryHead

_TRUTH = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})


@dataclass(frozen=True)
class Category(LevelColumn):
    """Levels; whatever can be written is one."""

    kind: ClassVar[str] = "category"
    head_type = CategoryHead

    @classmethod
    def reject(cls, raw: RawColumn) -> str:
        """See `Column`."""
        return "it holds nothing" if raw.nature == "nothing" else ""


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
        lowered = set(raw.texts.str.lower().unique()[:3])
        truth = any(lowered <= words for words in _TRUTH)
        return "" if truth else "its values are not two words for true and false"
