"""What a column holds: number, category, boolean, date or free id; inferred, or as told."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from counterpoint.errors import InputError
from counterpoint.table.dates import find_format, parse_dates

__all__ = [
    "Kind",
    "Told",
    "infer_kind",
    "refuse_levels",
    "to_dates",
    "to_levels",
    "to_numbers",
    "told_kinds",
]

Kind: TypeAlias = Literal["number", "category", "boolean", "date", "id", "empty"]

Told: TypeAlias = Kind | Literal["ignore"]
"""What a user may say of a column."""

_TRUTH = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
_MOSTLY = 0.95
_MOST_LEVELS = 10_000


def infer_kind(column: pd.Series) -> Kind:
    """Tell what a column holds from its values.

    A column is a number when at least 95 % of its texts read as one (the others are then
    reported as errors, cell by cell, not silently made a category); an id when it counts rows,
    or when its texts hardly ever repeat.

    >>> infer_kind(pd.Series(["1", "2.5", None])), infer_kind(pd.Series(["yes", "no"]))
    ('number', 'boolean')
    >>> infer_kind(pd.Series(["red", "blue", "red"])), infer_kind(pd.Series(["2024-02-29"]))
    ('category', 'date')
    """
    known = column.dropna()
    if known.empty:
        return "empty"
    if pd.api.types.is_bool_dtype(known.dtype):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(known.dtype):
        return "date"
    if pd.api.types.is_numeric_dtype(known.dtype):
        return "id" if _counts_rows(known) else "number"
    return _infer_text(known.astype(str))


def _infer_text(known: pd.Series) -> Kind:
    lowered = set(known.str.lower().unique()[:3])
    if any(lowered <= truth for truth in _TRUTH):
        return "boolean"
    numbers = pd.to_numeric(known, errors="coerce")
    numeric = float(numbers.notna().mean())
    if numeric >= (_MOSTLY if len(known) >= 20 else 1.0):
        return "id" if numeric == 1.0 and _counts_rows(numbers) else "number"
    if known.str.contains(r"\d", regex=True).all() and find_format(known, share=_MOSTLY):
        return "date"
    levels = known.nunique()
    if levels > max(50, 0.5 * len(known)):
        return "id"
    return "category"


def _counts_rows(numbers: pd.Series) -> bool:
    """Whether the values are consecutive whole numbers in order: a row number, not a quantity."""
    return len(numbers) >= 20 and bool((numbers.astype(float).diff().iloc[1:] == 1.0).all())


def to_numbers(column: pd.Series, name: str, where: str) -> np.ndarray:
    """The column as float64, missing cells NaN.

    Raises:
        InputError: a cell is no number, or infinite (names the row, the column and the value).
    """
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        _refuse(~np.isnan(values) & ~np.isfinite(values), column, name, where, "a finite number")
        return values
    parsed = pd.to_numeric(column.astype("object").where(column.notna()), errors="coerce")
    values = parsed.to_numpy(dtype=np.float64, na_value=np.nan)
    unread = np.isnan(values) & column.notna().to_numpy()
    _refuse(unread, column, name, where, "a number")
    _refuse(np.isinf(values), column, name, where, "a finite number")
    return values


def to_dates(column: pd.Series, name: str, where: str, form: str = "ISO8601") -> np.ndarray:
    """The column as days since 1970-01-01 (float64, UTC), missing cells NaN.

    Args:
        column: the cells.
        name: of the column, for messages.
        where: the table's name, for messages.
        form: of texts, as `find_format` found it.

    Raises:
        InputError: a cell is no date of that format (names the row, the column and the value).
    """
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        dates = pd.to_datetime(column, utc=True)
    else:
        dates = parse_dates(column.astype("object").where(column.notna()), form)
        rule = "a date" if form == "ISO8601" else f"a date written {form}"
        _refuse((dates.isna() & column.notna()).to_numpy(), column, name, where, rule)
    # whole seconds reach every year that can be written; nanoseconds end in 2262
    seconds = dates.dt.tz_localize(None).dt.as_unit("s")
    days = (seconds - pd.Timestamp(0).as_unit("s")).dt.total_seconds() / 86_400
    return days.to_numpy(dtype=np.float64, na_value=np.nan)


def to_levels(column: pd.Series) -> pd.Series:
    """The column as texts, missing cells None; numbers are written the shortest way.

    True and false are written alike whatever file they come from.

    >>> to_levels(pd.Series([1.0, 2.5, None])).tolist()
    ['1', '2.5', None]
    """
    if pd.api.types.is_float_dtype(column.dtype):
        texts = column.map(lambda value: f"{value:.15g}", na_action="ignore").astype("object")
    else:
        texts = column.map(str, na_action="ignore").astype("object")
        texts = texts.replace({"True": "true", "False": "false", "TRUE": "true", "FALSE": "false"})
    return texts.where(column.notna(), None)


def refuse_levels(levels: int, name: str, where: str) -> None:
    """Refuse a category with more levels than can be learnt.

    Raises:
        InputError: there are more than 10,000 levels.
    """
    if levels > _MOST_LEVELS:
        raise InputError(
            f"{where}: column {name!r}: {levels:,} levels; a category has at most"
            f" {_MOST_LEVELS:,}; leave it out with --ignore {name}"
        )


def _refuse(bad: np.ndarray, column: pd.Series, name: str, where: str, rule: str) -> None:
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    count = int(bad.sum())
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    raise InputError(
        f"{where}: row {row + 1:,}, column {name!r}: expected {rule}, found"
        f" {str(column.iloc[row])[:40]!r}{more}; correct it, or when fitting name it as missing"
        f" with --missing, or take the column as --category {name} or --ignore {name}"
    )


def told_kinds(lists: Mapping[Told, tuple[str, ...]]) -> dict[str, Told]:
    """Column -> kind, or "ignore", from the lists of a recipe's data section.

    Raises:
        InputError: one column is told two kinds.
    """
    told: dict[str, Told] = {}
    for kind, names in lists.items():
        for name in names:
            if name in told:
                raise InputError(f"column {name!r}: told to be {told[name]} and {kind}; choose one")
            told[name] = kind
    return told
