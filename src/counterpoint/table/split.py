"""Which rows are held out to tell how good it is, and which each member leaves out of training."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, KFold, ShuffleSplit

from counterpoint.errors import InputError, nearest
from counterpoint.recipe import Data
from counterpoint.table.kinds import to_dates, to_levels, to_numbers
from counterpoint.table.schema import Column, Schema

__all__ = ["Rows", "Split", "group_labels", "is_test", "parse_split", "split_rows"]

_FEWEST = 10
_SHARE = 0.2
_MARKS = {
    "train": "train", "training": "train", "false": "train", "0": "train",
    "validation": "validation", "valid": "validation", "val": "validation",
    "test": "test", "testing": "test", "true": "test", "1": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Split:
    """What a recipe's `data.split` says.

    Attributes:
        kind: "share", "marks", "time" or "group".
        column: of marks, times or groups.
        share: of the rows to hold out.
    """

    kind: Literal["share", "marks", "time", "group"]
    column: str = ""
    share: float = _SHARE


def parse_split(text: str, columns: Iterable[Hashable], where: str = "table") -> Split:
    """Read a split; a column of exactly that name comes before every other reading.

    Args:
        text: see `counterpoint.recipe.Data`.
        columns: names of the table's columns.
        where: the table's name, for messages.

    Raises:
        InputError: a column that does not exist (names the nearest), or a share out of range.

    >>> parse_split("time:day", ["day"])
    Split(kind='time', column='day', share=0.2)
    """
    known = [str(name) for name in columns]
    if text in known:
        return Split("marks", text)
    kind, colon, name = text.partition(":")
    if colon and kind in ("time", "group"):
        if name not in known:
            raise InputError(f"{where}: split: no column {name!r}{nearest(name, known)}")
        return Split(kind, name)
    try:
        share = 0.0 if text == "none" else float(text)
    except ValueError:
        raise InputError(
            f"{where}: split: expected a share such as 0.2, none, a column, time:COLUMN or"
            f" group:COLUMN; found {text!r}{nearest(text, known)}"
        ) from None
    if not 0.0 <= share <= 0.9:
        raise InputError(f"split: expected a share from 0 to 0.9, found {text}")
    return Split("share", share=share)


@dataclass(frozen=True)
class Rows:
    """Places of rows, increasing.

    Attributes:
        train: every row that may be learnt from.
        held: for each member of the ensemble the part of `train` that its trunk is not fitted to;
            it decides when to stop and how large the noise is.
        test: the rows held out from everything; disjoint from `train`.
    """

    train: np.ndarray
    held: tuple[np.ndarray, ...]
    test: np.ndarray

    def fitted(self, member: int) -> np.ndarray:
        """The rows that the trunk of a member is fitted to."""
        return np.setdiff1d(self.train, self.held[member], assume_unique=True)


def split_rows(
    frame: pd.DataFrame,
    usable: np.ndarray,
    data: Data,
    plan: Schema,
    *,
    members: int = 1,
    seed: int = 0,
    where: str = "table",
) -> Rows:
    """Divide the usable rows as the recipe says.

    Random and group splits give each member another fold; a split by time gives every member the
    latest rows, since only those are like the future.

    Args:
        frame: the table.
        usable: which rows (bool, (N,)) have at least one target.
        data: the recipe's section: `split` and `validation`.
        plan: the columns; says how a column of times is to be read.
        members: how many parts to leave out in turn.
        seed: decides random splits.
        where: the table's name, for messages.

    Raises:
        InputError: too few rows, a split that is not understood, a column that does not exist or
            does not say which rows are held out.
    """
    places = np.flatnonzero(usable)
    if len(places) < _FEWEST:
        raise InputError(
            f"{where}: at least {_FEWEST} rows with a target are needed, found {len(places)}"
            f" sample{'s' if len(places) != 1 else ''}"
        )
    counts = members, max(members, round(1.0 / data.validation), 2)
    split = parse_split(data.split, frame.columns, where)
    if split.kind == "time":
        rows = _by_time(plan.column(split.column), frame, places, data, members, where)
    elif split.kind == "group":
        rows = _by_group(frame, places, split.column, counts, seed, where)
    elif split.kind == "marks":
        rows = _by_marks(frame, places, split.column, counts, seed, where)
    else:
        train, test = _random(places, split.share, seed)
        _refuse_few(train, where)
        rows = Rows(train, _folds(train, counts, seed), test)
    _refuse_few(rows.train, where)
    return rows


def _refuse_few(train: np.ndarray, where: str) -> None:
    if len(train) < _FEWEST // 2:
        raise InputError(
            f"{where}: the split leaves {len(train)} rows to train on; at least {_FEWEST // 2} are"
            " needed"
        )


def _folds(
    places: np.ndarray, counts: tuple[int, int], seed: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, ...]:
    """The first so many of so many parts of equal size."""
    members, folds = counts
    if groups is None:
        chooser = KFold(min(folds, len(places)), shuffle=True, random_state=seed % 2**32)
    else:
        most = min(folds, len(set(groups)))
        chooser = GroupKFold(most, shuffle=True, random_state=seed % 2**32)
    parts = [places[held] for _, held in chooser.split(places, groups=groups)]
    return tuple(parts[member % len(parts)] for member in range(members))


def _random(places: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    held = round(share * len(places))
    if held == 0:
        return places, places[:0]
    chooser = ShuffleSplit(1, test_size=held, random_state=seed % 2**32)
    first, second = next(chooser.split(places))
    return places[np.sort(first)], places[np.sort(second)]


def _by_time(
    column: Column, frame: pd.DataFrame, places: np.ndarray, data: Data, members: int, where: str
) -> Rows:
    values = frame[column.name]
    if column.kind == "date":
        times = to_dates(values, column.name, where, column.form)
    else:
        times = to_numbers(values, column.name, where)
    absent = places[np.isnan(times[places])]
    if len(absent):
        raise InputError(
            f"{where}: row {absent[0] + 1:,}, column {column.name!r}: has no time to split by"
        )
    train, test = _latest(places, times, _SHARE)
    _, held = _latest(train, times, data.validation)
    return Rows(train, (held,) * members, test)


def _by_group(
    frame: pd.DataFrame,
    places: np.ndarray,
    name: str,
    counts: tuple[int, int],
    seed: int,
    where: str,
) -> Rows:
    values = frame[name].iloc[places]
    groups = group_labels(values)
    if len(set(groups)) < 3:
        raise InputError(
            f"{where}: split group:{name}: needs 3 groups or more, found {len(set(groups))}"
        )
    chooser = GroupShuffleSplit(1, test_size=_SHARE, random_state=seed % 2**32)
    first, second = next(chooser.split(places, groups=groups))
    first = np.sort(first)
    train = places[first]
    return Rows(train, _folds(train, counts, seed, groups[first]), places[np.sort(second)])


def group_labels(values: pd.Series) -> np.ndarray:
    """The group of each row, as text."""
    return to_levels(values).fillna("").to_numpy(dtype=str)


def is_test(marks: pd.Series) -> np.ndarray:
    """Which rows a column of marks holds out (bool, (N,)); other words than marks hold out none."""
    return (to_levels(marks).fillna("").str.lower().map(_MARKS) == "test").to_numpy()


def _latest(places: np.ndarray, times: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    order = places[np.argsort(times[places], kind="stable")]
    cut = len(order) - max(1, round(share * len(order)))
    return np.sort(order[:cut]), np.sort(order[cut:])


def _by_marks(
    frame: pd.DataFrame,
    places: np.ndarray,
    name: str,
    counts: tuple[int, int],
    seed: int,
    where: str,
) -> Rows:
    marks = to_levels(frame[name].iloc[places]).fillna("")
    parts = marks.str.lower().map(_MARKS)
    if parts.isna().any():
        found = marks[parts.isna()].iloc[0]
        raise InputError(
            f"{where}: split column {name!r}: expected train, validation or test in every row,"
            f" found {found!r}"
        )
    train, held, test = (
        places[(parts == part).to_numpy()] for part in ("train", "validation", "test")
    )
    _refuse_few(train, where)
    if len(held) == 0:
        return Rows(train, _folds(train, counts, seed), test)
    return Rows(np.union1d(train, held), (held,) * counts[0], test)
