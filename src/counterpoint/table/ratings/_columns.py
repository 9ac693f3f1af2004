"""Which columns of a table say who rated and what was rated."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from counterpoint.errors import InputError, nearest
from counterpoint.recipe import Data
from counterpoint.table.columns import Schema, Table
from counterpoint.table.columns._lines import looks_like_values
from counterpoint.table.columns._text import MISSING

_USERS = r"user|customer|member|reader|viewer|reviewer|rater|person|account|client|listener|player"
_ITEMS = (
    r"item|movie|film|book|product|song|track|artist|title|isbn|article|game|joke|recipe|anime"
    r"|restaurant|business|course|show|album|asin"
)
_ID = r"(?:[_\s.-]|(?<=[a-z]))ids?$"
_TIME = r"time|date|^day$|^year$"
_LEVELS = 20
_PAIRS = 0.95


@dataclass(frozen=True)
class RatingColumns:
    """Two columns of ids, whether somebody said so, and those that are left out beside them."""

    user: str
    item: str
    told: bool
    left: tuple[str, ...] = ()

    def sentence(self, target: str) -> str:
        """What is done, and how to have it otherwise."""
        said = f"{target!r} is taken as ratings of {self.item!r} by {self.user!r}"
        if self.left:
            said += f", without {', '.join(map(repr, self.left))}"
        return said if self.told else f"{said}; --category {self.user} makes it a table instead"


def ratings_in(frame: pd.DataFrame, data: Data, where: str = "table") -> RatingColumns | None:
    """The columns of ratings: those that are told, or two high-cardinality ids and little else.

    Found are they where all other inputs are times, their names are those of users and items (or
    end in "id"), each has twenty values or more that repeat, and hardly a pair does.

    Args:
        frame: the table.
        data: the recipe's section.
        where: the table's name, for messages.

    Returns:
        None where the table is one of columns.

    Raises:
        InputError: a column that is told is not there, or is something else, too.
    """
    names = [str(name) for name in frame.columns]
    if data.user:
        _refuse_told(names, data, where)
        beside = {data.user, data.item, *data.target, *data.ignore}
        left = tuple(name for name in names if name not in beside)
        return RatingColumns(data.user, data.item, told=True, left=left)
    found = _like_ratings(frame, data)
    return None if found is None or _repeated(frame, found) else found


def ratings_hint(frame: pd.DataFrame, data: Data) -> str | None:
    """What to write if a table that is not taken as ratings, since pairs repeat, is of them.

    Args:
        frame: the table.
        data: the recipe's section.
    """
    found = None if data.user else _like_ratings(frame, data)
    if found is None or not (again := _repeated(frame, found)):
        return None
    return (
        f"{again:,} of {len(frame):,} rows have a pair of {found.user!r} and {found.item!r} that"
        f" stands above, so these are taken as columns of a table; --user {found.user} --item"
        f" {found.item} makes {data.target[0]!r} ratings"
    )


def _like_ratings(frame: pd.DataFrame, data: Data) -> RatingColumns | None:
    """Two high-cardinality ids, a number and little else, whether or not pairs repeat."""
    names = [str(name) for name in frame.columns]
    free = [name for name in names if name not in (*data.target, *data.ignore)]
    times = [name for name in free if re.search(_TIME, name, re.IGNORECASE)]
    left = [name for name in free if name not in times]
    if len(data.target) != 1 or len(left) != 2 or data.weight or set(left) & set(data.kinds):
        return None
    pair = _ordered(left)
    if pair is None or data.target[0] not in names:
        return None
    if any(not _LEVELS <= frame[name].nunique() <= len(frame) / 2 for name in pair):
        return None
    # what is absent is no text, and is left out
    given = frame[data.target[0]].replace([*MISSING, *data.missing], None).dropna()
    if not len(given) or pd.to_numeric(given, errors="coerce").notna().mean() < _PAIRS:
        return None
    return RatingColumns(*pair, told=False, left=tuple(times))


def _repeated(frame: pd.DataFrame, found: RatingColumns) -> int:
    """How many rows have a pair that stands above, if they are more than a few; else 0."""
    again = int(frame[[found.user, found.item]].duplicated().sum())
    return again if again > (1 - _PAIRS) * len(frame) else 0


def read_ratings(frame: pd.DataFrame, columns: RatingColumns, data: Data, where: str) -> Table:
    """The three columns, parsed; ids are texts, whatever they look like."""
    kinds = {columns.user: "category", columns.item: "category", data.target[0]: "number"}
    data = replace(data, kinds=kinds, ignore=(), split="none", names=())
    three = frame[[columns.user, columns.item, data.target[0]]]
    three.attrs = frame.attrs
    return Table.plan(three, data, where=where)


def usable(table: Table, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Rows that have all of some columns, and remarks on the others."""
    remarks, rows = list[str](), np.ones(table.rows, dtype=bool)
    for name in names:
        absent = table.values[name].missing
        if absent.any():
            remarks.append(
                f"column {name!r}: {int(absent.sum()):,} of {table.rows:,} rows have none and are"
                " left out"
            )
        rows &= ~absent
    return rows, remarks


def read_later(frame: pd.DataFrame, schema: Schema, where: str, *, learn: bool) -> Table:
    """The columns of a later table."""
    return Table.read(frame, schema, where, learn=learn)


def _refuse_told(names: list[str], data: Data, where: str) -> None:
    for option, name in (("--user", data.user), ("--item", data.item)):
        if name not in names:
            hint = nearest(name, names)
            if looks_like_values(names):
                hint += "; do the names stand in the first row? --no-header --names A,B,C"
            raise InputError(f"{where}: {option}: no column {name!r}{hint}")
        if name in data.target:
            raise InputError(f"column {name!r}: cannot be both target and {option}")
        if name in data.ignore:
            raise InputError(f"column {name!r}: cannot be both {option} and --ignore")
    if data.user == data.item:
        raise InputError(f"column {data.user!r}: cannot be both --user and --item")
    if len(data.target) != 1:
        raise InputError(
            f"{where}: ratings are one column, --target; found {len(data.target)}"
            f"{nearest('rating', [n for n in names if n not in (data.user, data.item)])}"
        )


def _ordered(pair: list[str]) -> tuple[str, str] | None:
    """Who and what, by their names; the first is who where both are merely ids."""
    for user, item in ((pair[0], pair[1]), (pair[1], pair[0])):
        if _is(_USERS, user) and (_is(_ITEMS, item) or re.search(_ID, item)):
            return user, item
        if re.search(_ID, user) and _is(_ITEMS, item) and not _is(_ITEMS, user):
            return user, item
    both = all(re.search(_ID, name) for name in pair)
    return (pair[0], pair[1]) if both else None


def _is(words: str, name: str) -> bool:
    return re.search(rf"(?:^|[_\s.-])(?:{words})", name, re.IGNORECASE) is not None
