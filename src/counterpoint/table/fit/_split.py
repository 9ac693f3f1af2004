"""Which rows are held out to tell how good it is, and which each member leaves out of training."""

from dataclasses import dataclass, field

import numpy as np

from counterpoint.errors import InputError
from counterpoint.table.columns import ParsedColumn, Table
from counterpoint.table.columns._split import MARKS, SHARE

_FEWEST = 10
_RARE = 100
_FEWEST_ASIDE = 20
_FEW_ROWS = 30
_FEW_OF_A_CLASS = 5
_SHOWN = 5


@dataclass(frozen=True)
class RowSplit:
    """Row numbers, increasing.

    Attributes:
        train: every row that may be learnt from.
        held: for each member of the ensemble the part of `train` that its trunk is not fitted to;
            it decides when to stop and how large the noise is.
        test: the rows held out from everything; disjoint from `train`.
        aside: rows that nothing is fitted to either, by which intervals are made to hold.
    """

    train: np.ndarray
    held: tuple[np.ndarray, ...]
    test: np.ndarray
    aside: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def fitted(self, member: int) -> np.ndarray:
        """The rows that the trunk of a member is fitted to."""
        return np.setdiff1d(self.train, self.held[member], assume_unique=True)


def split_rows(
    table: Table, usable: np.ndarray, validation: float, *, members: int = 1, seed: int = 0
) -> RowSplit:
    """Divide the usable rows as the table's split says.

    Random and group splits give each member another fold; a split by time gives every member the
    latest rows, since only those are like the future. Of a class with few rows every random part
    has its share.
    """
    rows = np.flatnonzero(usable)
    if len(rows) < _FEWEST:
        counted = " and a weight above zero" if table.schema.weight else ""
        raise InputError(
            f"{table.where}: at least {_FEWEST} rows with a target{counted} are needed, found"
            f" {len(rows)} sample{'s' if len(rows) != 1 else ''} in {table.rows:,} rows"
        )
    counts = members, max(members, round(1.0 / validation), 2)
    if table.split.kind == "time":
        split = _by_time(table, rows, validation, members)
    elif table.split.kind == "group":
        split = _by_group(table, rows, counts, seed)
    elif table.split.kind == "marks":
        split = _by_marks(table, rows, counts, seed)
    else:
        strata = _rare(table, rows)
        train, test = _random(rows, table.split.share, seed, strata)
        _refuse_few(train, table.where)
        split = RowSplit(train, _folds(train, counts, seed, strata=strata), test)
    _refuse_few(split.train, table.where)
    return split


def set_aside(split: RowSplit, table: Table, share: float, seed: int) -> RowSplit:
    """Take a share of the rows to learn from aside: whole groups where the table is split by them.

    Raises:
        InputError: they would be too few to tell nine tenths.
    """
    groups = None
    if table.split.kind == "group":
        groups = group_labels(table.values[table.split.column])[split.train]
    from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit  # slow to import

    kind = ShuffleSplit if groups is None else GroupShuffleSplit
    chooser = kind(1, test_size=share, random_state=seed % 2**32)
    ((_, chosen),) = chooser.split(split.train, groups=groups)
    if len(chosen) < _FEWEST_ASIDE:
        raise InputError(
            f"{table.where}: data.conformal = {share:g} leaves {len(chosen)} rows to tell whether"
            f" intervals hold; at least {_FEWEST_ASIDE} are needed"
        )
    aside = np.sort(split.train[chosen])
    train, *held = (np.setdiff1d(part, aside) for part in (split.train, *split.held))
    _refuse_few(train, table.where)
    # where a member's part is gone, any other is as new to it as its own was
    left = [part for part in held if len(part)] or [train[: max(1, len(train) // 5)]]
    parts = tuple(part if len(part) else left[0] for part in held)
    return RowSplit(train, parts, split.test, aside)


def _refuse_few(train: np.ndarray, where: str) -> None:
    if len(train) < _FEWEST // 2:
        raise InputError(
            f"{where}: the split leaves {len(train)} rows to train on; at least {_FEWEST // 2} are"
            " needed"
        )


def _rare(table: Table, rows: np.ndarray) -> np.ndarray | None:
    """The class of every row of the table, where one is so rare that chance may leave it out."""
    for target in table.schema.targets:
        values = table.values[target.name]
        strata = target.strata(values)
        known = rows[~values.missing[rows]]
        # where every class has a hundred rows, chance does it as well
        if strata is not None and np.unique(strata[known], return_counts=True)[1].min() < _RARE:
            return strata
    return None


def _folds(
    rows: np.ndarray,
    counts: tuple[int, int],
    seed: int,
    groups: np.ndarray | None = None,
    strata: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:
    """The first so many of so many parts of equal size."""
    members, folds = counts
    # scikit-learn takes no seed of 2**32 or more
    if strata is not None:
        order = _by_class(rows, strata, seed)
        parts = [np.sort(order[place :: min(folds, len(rows))]) for place in range(members)]
        return tuple(part if len(part) else parts[0] for part in parts)
    from sklearn.model_selection import GroupKFold, KFold  # slow to import

    if groups is None:
        chooser = KFold(min(folds, len(rows)), shuffle=True, random_state=seed % 2**32)
    else:
        most = min(folds, len(set(groups)))
        chooser = GroupKFold(most, shuffle=True, random_state=seed % 2**32)
    parts = [rows[part] for _, part in chooser.split(rows, groups=groups)]
    return tuple(parts[member % len(parts)] for member in range(members))


def _by_class(rows: np.ndarray, strata: np.ndarray, seed: int) -> np.ndarray:
    """The rows class after class, the rarest first, by chance inside each."""
    # neighbours of one class go to different parts, whatever the parts
    drawn = np.random.default_rng(seed).permutation(rows)
    classes, place, count = np.unique(strata[drawn], return_inverse=True, return_counts=True)
    del classes
    return drawn[np.lexsort((place, count[place]))]


def _random(
    rows: np.ndarray, share: float, seed: int, strata: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    size = round(share * len(rows))
    if size == 0:
        return rows, rows[:0]
    if strata is not None:
        test = np.sort(_share_of_each(rows, strata, size, seed))
        return np.setdiff1d(rows, test, assume_unique=True), test
    from sklearn.model_selection import ShuffleSplit  # slow to import

    chooser = ShuffleSplit(1, test_size=size, random_state=seed % 2**32)
    first, second = next(chooser.split(rows))
    return rows[np.sort(first)], rows[np.sort(second)]


def _share_of_each(rows: np.ndarray, strata: np.ndarray, size: int, seed: int) -> np.ndarray:
    """So many rows, of every class its share, and at least one where a class has two."""
    lots = [np.flatnonzero(strata[rows] == name) for name in np.unique(strata[rows])]
    wanted = np.array([size * len(lot) / len(rows) for lot in lots])
    most = np.array([len(lot) - 1 for lot in lots])
    least = np.minimum(1, most)
    taken = np.clip(np.floor(wanted).astype(int), least, most)
    # what is still to be given goes where most is owed, what is too much comes from the largest
    while taken.sum() < size and (taken < most).any():
        taken[np.argmax(np.where(taken < most, wanted - taken, -np.inf))] += 1
    while taken.sum() > size and (taken > least).any():
        taken[np.argmax(np.where(taken > least, taken, -1))] -= 1
    draw = np.random.default_rng(seed)
    parts = [draw.permutation(lot)[:count] for lot, count in zip(lots, taken, strict=True)]
    return rows[np.concatenate(parts)]


def split_remarks(table: Table, rows: RowSplit) -> list[str]:
    """What the numbers of rows do not allow to say, in sentences."""
    found = list[str]()
    if len(rows.train) < _FEW_ROWS:
        found.append(
            f"{len(rows.train)} rows to learn from are few: what is learnt of them may be chance"
        )
    if 0 < len(rows.test) < _FEW_ROWS:
        found.append(f"{len(rows.test)} rows are held out: what is measured on them may be chance")
    for target in table.schema.targets:
        values = table.values[target.name]
        strata = target.strata(values)
        if strata is not None and len(rows.test):
            found += _rare_classes(target.name, strata, ~values.missing, rows)
    return found


def _rare_classes(name: str, strata: np.ndarray, known: np.ndarray, rows: RowSplit) -> list[str]:
    held, learnt = (strata[part[known[part]]] for part in (rows.test, rows.train))
    counts = {level: int((held == level).sum()) for level in np.unique(strata[known]).tolist()}
    rare = [
        f"{level!r} ({count} of {count + int((learnt == level).sum())})"
        for level, count in counts.items()
        if count < _FEW_OF_A_CLASS
    ]
    if not rare:
        return []
    more = f" and {len(rare) - _SHOWN} more" if len(rare) > _SHOWN else ""
    return [
        f"target {name!r}: classes with fewer than {_FEW_OF_A_CLASS} held-out rows:"
        f" {', '.join(rare[:_SHOWN])}{more}; what is measured of them may be chance"
    ]


def _by_time(table: Table, rows: np.ndarray, validation: float, members: int) -> RowSplit:
    name = table.split.column
    times = table.values[name]
    absent = rows[times.missing[rows]]
    if len(absent):
        raise InputError(
            f"{table.where}: row {absent[0] + 1:,}, column {name!r}: has no time to split by"
        )
    train, test = _latest(rows, times.data, SHARE)
    _, latest = _latest(train, times.data, validation)
    return RowSplit(train, (latest,) * members, test)


def _by_group(table: Table, rows: np.ndarray, counts: tuple[int, int], seed: int) -> RowSplit:
    name = table.split.column
    groups = group_labels(table.values[name])[rows]
    if len(set(groups)) < 3:
        raise InputError(
            f"{table.where}: split group:{name}: needs 3 groups or more, found {len(set(groups))}"
        )
    from sklearn.model_selection import GroupShuffleSplit  # slow to import

    chooser = GroupShuffleSplit(1, test_size=SHARE, random_state=seed % 2**32)
    first, second = next(chooser.split(rows, groups=groups))
    first = np.sort(first)
    train = rows[first]
    return RowSplit(train, _folds(train, counts, seed, groups[first]), rows[np.sort(second)])


def group_labels(values: ParsedColumn) -> np.ndarray:
    """The group of each row, as text; rows without one are a group."""
    return np.where(values.missing, "", values.data).astype(str)


def is_test(marks: ParsedColumn) -> np.ndarray:
    """Which rows a column of marks holds out (bool, (N,)); other words than marks hold out none."""
    return _parts(marks) == "test"


def _parts(marks: ParsedColumn) -> np.ndarray:
    """The part of each row, empty where a mark is none."""
    return np.array([MARKS.get(str(mark).lower(), "") for mark in marks.data], dtype=object)


def _latest(rows: np.ndarray, times: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    order = rows[np.argsort(times[rows], kind="stable")]
    cut = len(order) - max(1, round(share * len(order)))
    return np.sort(order[:cut]), np.sort(order[cut:])


def _by_marks(table: Table, rows: np.ndarray, counts: tuple[int, int], seed: int) -> RowSplit:
    name = table.split.column
    marks = table.values[name].take(rows)
    parts = _parts(marks)
    if (parts == "").any():
        found = "" if marks.missing[parts == ""][0] else marks.data[parts == ""][0]
        raise InputError(
            f"{table.where}: split column {name!r}: expected train, validation or test in every"
            f" row, found {found!r}"
        )
    train, validation, test = (rows[parts == part] for part in ("train", "validation", "test"))
    _refuse_few(train, table.where)
    if len(validation) == 0:
        return RowSplit(train, _folds(train, counts, seed), test)
    return RowSplit(np.union1d(train, validation), (validation,) * counts[0], test)
