"""What a careful reader would say of a table before anything is learnt from it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from counterpoint.table.columns._category import Category
from counterpoint.table.columns._column import Column, UsableColumn
from counterpoint.table.columns._levels import LevelColumn
from counterpoint.table.columns._number import Number
from counterpoint.table.columns._numeric import NumericColumn
from counterpoint.table.columns._raw import ParsedColumn, RawColumn
from counterpoint.table.columns._schema import Schema
from counterpoint.table.columns._split import is_marks

_FEW = 20
_ROWS = 2_000
_MOST_COLUMNS = 40
_EXACT = 1e-9
_SENTINELS = frozenset(
    {-9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0}
)
_APART = 3.0
_SHOWN = 4


def hints(
    schema: Schema, raw: Mapping[str, RawColumn], values: Mapping[str, ParsedColumn]
) -> Iterator[str]:
    """Sentences on how cells were read, and on columns that may not be what they seem.

    Args:
        schema: the planned columns.
        raw: them as they came.
        values: those that are used, parsed.
    """
    for column in schema.columns:
        if column.name in values and column.role != "split":
            yield from _of_reading(column, raw[column.name])
    for column in schema.inputs:
        yield from _of_column(column, raw[column.name], values[column.name])
    yield from _of_weights(schema, values)
    for target in schema.targets:
        yield from _of_target(target, schema, values)


def _of_weights(schema: Schema, values: Mapping[str, ParsedColumn]) -> Iterator[str]:
    """Rows that count nothing."""
    if schema.weight is None:
        return
    name = schema.weight.name
    rows = int((values[name].data == 0).sum())
    if rows:
        yield (
            f"weight {name!r}: is 0 in {rows:,} of {len(values[name]):,} rows, which are neither"
            " learnt from nor held out"
        )


def absent_targets(
    schema: Schema,
    values: Mapping[str, ParsedColumn],
    words: Mapping[str, Mapping[str, int]],
) -> Iterator[str]:
    """How many rows lack a target, and which words of the file said so.

    Args:
        schema: the columns.
        values: parsed.
        words: of each column, texts that were taken as missing -> how often.
    """
    for target in schema.targets:
        rows = int(values[target.name].missing.sum())
        if not rows:
            continue
        found = {word: count for word, count in words.get(target.name, {}).items() if word}
        total = len(values[target.name])
        sentence = (
            f"target {target.name!r}: {rows:,} of {total:,} rows have none and teach nothing of it"
        )
        if found:
            said = ", ".join(
                f"{word!r} in {count:,}" for word, count in list(found.items())[:_SHOWN]
            )
            word = next(iter(found))
            sentence += f": {said} taken as no value; --not-missing {word} makes it a value"
        yield sentence


def _of_reading(column: Column, raw: RawColumn) -> Iterator[str]:
    said = column.reading(raw)
    if said:
        yield f"column {column.name!r}: {said}"
    if column.note == "told" or not isinstance(column, Category):
        return
    if raw.code:
        yield (
            f"column {column.name!r}: {raw.code!r} begins with a zero, so these are codes, each a"
            f" level; --number {column.name} takes them as numbers"
        )
    elif raw.costume:
        yield (
            f"column {column.name!r}: holds {raw.costume}, and is a category whose levels have no"
            " order; written as plain numbers they would have one"
        )
    elif raw.unread:
        yield (
            f"column {column.name!r}: cells such as {raw.unread[:40]!r} read as no number or date,"
            " and are levels without an order; written as plain numbers they would have one"
        )


def _of_column(column: UsableColumn, raw: RawColumn, values: ParsedColumn) -> Iterator[str]:
    # beside gaps one value says something: that it is there
    if not values.missing.any() and len(known := pd.unique(values.data)) == 1:
        yield (
            f"column {column.name!r}: is {column.show(known[0])[:40]!r} in every row, so nothing"
            " can be learnt of it"
        )
        return
    if isinstance(column, LevelColumn):
        if is_marks(values.known):
            yield (
                f"column {column.name!r}: marks rows as train and test, and is used as an input;"
                f" --split {column.name} holds out those for test, --ignore {column.name} leaves it"
                " out"
            )
        return
    if isinstance(column, Number) and len(values.known):
        yield from _of_numbers(column, raw, values.known)


def _of_numbers(column: Number, raw: RawColumn, known: np.ndarray) -> Iterator[str]:
    name = column.name
    far = _sentinel(known)
    if far is not None:
        rows = int((known == far).sum())
        yield (
            f"column {name!r}: {far:g} stands in {rows:,} rows, far from all other values;"
            f" --missing={far:g} if it means that there is none"
        )
    distinct = np.unique(known)
    counted = len(distinct) == len(known) >= _FEW and distinct[-1] - distinct[0] == len(known) - 1
    if counted and bool((distinct % 1 == 0).all()):
        yield (
            f"column {name!r}: numbers its rows from {distinct[0]:.15g} to {distinct[-1]:.15g} in"
            f" some order; --ignore {name} if it is only their name"
        )
    if not column.form and raw.signs.separator == ";" and raw.thousandfold:
        yield (
            f"column {name!r}: {raw.thousandfold!r} is read with a decimal point; --thousands . if"
            " points stand between thousands"
        )


def _sentinel(known: np.ndarray) -> float | None:
    """A number that often stands for no value, where it is far from the others."""
    for value in (float(known.min()), float(known.max())):
        # a value that occurs once may be a slip; one that is near the others may be one of them
        others = known[known != value]
        if value not in _SENTINELS or len(known) - len(others) < 2 or not len(others):
            continue
        low, high = float(others.min()), float(others.max())
        if min(abs(value - low), abs(value - high)) > _APART * (high - low):
            return value
    return None


def _of_target(
    target: UsableColumn, schema: Schema, values: Mapping[str, ParsedColumn]
) -> Iterator[str]:
    """Inputs of which the target is a copy, or that it is made of."""
    if isinstance(target, LevelColumn):
        for column in schema.inputs:
            if isinstance(column, LevelColumn) and _renames(
                values[column.name], values[target.name]
            ):
                yield _copied(
                    column.name, f"has one value for each value of the target {target.name!r}"
                )
        return
    numbers = {c.name: values[c.name] for c in schema.inputs if isinstance(c, NumericColumn)}
    names = list(numbers)[:_MOST_COLUMNS]
    rows = ~values[target.name].missing
    goal = values[target.name].data[rows][:_ROWS]
    parts = {name: numbers[name].data[rows][:_ROWS] for name in names}
    copies = [name for name in names if _is_line(parts[name], goal)]
    for name in copies:
        same = _same(parts[name], goal)
        yield _copied(
            name, f"{'equals' if same else 'is a multiple of'} the target {target.name!r}"
        )
    if not copies:
        yield from _made_of(target.name, goal, parts)


def _copied(name: str, what: str) -> str:
    return (
        f"column {name!r}: {what} in every row; --ignore {name} if it is not known when predicting"
    )


def _made_of(target: str, goal: np.ndarray, parts: Mapping[str, np.ndarray]) -> Iterator[str]:
    """The first pair of columns whose sum, difference, product or ratio the target is."""
    # forty columns are 780 pairs: a tenth of a second
    for one, two in combinations(parts, 2):
        a, b = parts[one], parts[two]
        with np.errstate(all="ignore"):
            made = {
                f"{one!r} minus {two!r}": a - b,
                f"{two!r} minus {one!r}": b - a,
                f"{one!r} plus {two!r}": a + b,
                f"{one!r} times {two!r}": a * b,
                f"{one!r} over {two!r}": a / b,
                f"{two!r} over {one!r}": b / a,
            }
        for how, value in made.items():
            if _same(value, goal):
                yield (
                    f"target {target!r}: is {how} in every row; no model is needed where both are"
                    f" known, --ignore {one} or --ignore {two} where one is not"
                )
                return


def _same(value: np.ndarray, goal: np.ndarray) -> bool:
    known = ~np.isnan(value) & ~np.isnan(goal)
    if known.sum() < _FEW:
        return False
    # of the largest: differences of dates and of money carry rounding of their parts
    off = np.abs(value[known] - goal[known])
    return bool((off <= _EXACT * np.abs(goal[known]).max()).all())


def _is_line(value: np.ndarray, goal: np.ndarray) -> bool:
    """Whether values are the goal in another unit: the same line through all rows."""
    known = ~np.isnan(value) & ~np.isnan(goal)
    if known.sum() < _FEW:
        return False
    with np.errstate(all="ignore"):
        return _on_line(value[known], goal[known])


def _on_line(value: np.ndarray, goal: np.ndarray) -> bool:
    x, y = value - value.mean(), goal - goal.mean()
    spread = float(x @ x)
    if not spread > 0 or not np.isfinite(spread):
        return False
    off = np.abs(y - x * (float(x @ y) / spread))
    return bool(off.max() <= _EXACT * np.abs(y).max())


def _renames(values: ParsedColumn, target: ParsedColumn) -> bool:
    """Whether levels and classes go together, one to one."""
    known = ~values.missing & ~target.missing
    if known.sum() < _FEW:
        return False
    pairs = pd.DataFrame({"a": values.data[known], "b": target.data[known]}).drop_duplicates()
    return len(pairs) == pairs["a"].nunique() == pairs["b"].nunique() > 1


def named_twice(names: Sequence[str]) -> Iterator[str]:
    """Targets that were named more than once."""
    for name, count in Counter(names).items():
        if count > 1:
            yield f"target {name!r}: is named {count} times; it counts once"
