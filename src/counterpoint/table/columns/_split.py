"""What a recipe's `data.split` says: which column, if any, decides about the rows held out."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from counterpoint.errors import InputError, nearest

MARKS = {
    "train": "train", "training": "train", "false": "train", "0": "train",
    "validation": "validation", "valid": "validation", "val": "validation",
    "test": "test", "testing": "test", "true": "test", "1": "test",
}  # fmt: skip
"""Words that say what a row is for."""

_CLEAR = frozenset(MARKS) - {"false", "true", "0", "1"}

SHARE = 0.2
"""Of the rows, held out where nothing else is said."""


@dataclass(frozen=True)
class SplitRule:
    """How rows are held out.

    Attributes:
        kind: "share", "marks", "time" or "group".
        column: of marks, times or groups.
        share: of the rows to hold out.
    """

    kind: Literal["share", "marks", "time", "group"] = "share"
    column: str = ""
    share: float = SHARE

    @property
    def labelled(self) -> bool:
        """Whether the column is read as texts, whatever its kind."""
        return self.kind in ("marks", "group")


SHARED = SplitRule()
"""Rows by chance, of which no column knows."""


def parse_split(text: str, known: Collection[str], where: str = "table") -> SplitRule:
    """Read a recipe's split; a column of exactly that name comes before every other reading.

    >>> parse_split("time:day", ["day"])
    SplitRule(kind='time', column='day', share=0.2)
    """
    if text in known:
        return SplitRule("marks", text)
    kind, colon, name = text.partition(":")
    if colon and kind in ("time", "group"):
        if name not in known:
            raise InputError(f"{where}: split: no column {name!r}{nearest(name, known)}")
        return SplitRule(kind, name)
    try:
        share = 0.0 if text == "none" else float(text)
    except ValueError:
        raise InputError(
            f"{where}: split: expected a share such as 0.2, none, a column, time:COLUMN or"
            f" group:COLUMN; found {text!r}{nearest(text, known)}"
        ) from None
    if not 0.0 <= share <= 0.9:
        raise InputError(f"split: expected a share from 0 to 0.9, found {text}")
    return SplitRule("share", share=share)


def later_split(text: str, known: Collection[str]) -> SplitRule:
    """The marks or groups of a fit in a later table, which may lack the column."""
    column = text.partition(":")[2] or text
    rule = parse_split(text, known) if column in known else SHARED
    return rule if rule.labelled else SHARED


def is_marks(labels: np.ndarray) -> bool:
    """Whether all labels are words for what a row is for, and more than one of them.

    >>> is_marks(np.array(["Train", "test", "train"])), is_marks(np.array(["0", "1"]))
    (True, False)
    """
    words = {str(label).casefold() for label in set(labels.tolist())}
    return len(words) > 1 and words <= _CLEAR
