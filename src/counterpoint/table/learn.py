"""From a frame and what the user told to a `Schema`: kinds of all rows, scales of training rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from counterpoint.errors import InputError, nearest
from counterpoint.recipe import Data
from counterpoint.table.dates import AMBIGUOUS, date_parts, find_format
from counterpoint.table.kinds import (
    Kind,
    Told,
    infer_kind,
    refuse_levels,
    to_dates,
    to_levels,
    to_numbers,
    told_kinds,
)
from counterpoint.table.read import COMMA
from counterpoint.table.schema import Column, Feature, Role, Schema
from counterpoint.table.split import Split, parse_split

__all__ = ["common_levels", "learn_schema", "ordered", "plan_columns"]

_RARE = 2
_ID = "a free id: it counts the rows, or hardly any value repeats"


def plan_columns(frame: pd.DataFrame, data: Data, where: str = "table") -> Schema:
    """Give every column a kind and a role; nothing is learnt from the values' sizes yet.

    Args:
        frame: the table.
        data: the recipe's section, whose lists override what is inferred.
        where: the table's name, for messages.

    Raises:
        InputError: a named column does not exist (names the nearest), is told two kinds, or a
            target or the weight cannot serve as such.
    """
    told = told_kinds(
        {
            "category": data.category,
            "number": data.number,
            "date": data.date,
            "ignore": data.ignore,
        }
    )
    split = parse_split(data.split, frame.columns, where)
    roles = _roles(data, split)
    _refuse_commas(frame, {*told, *roles} - set(data.target), where)
    if split.kind == "time" and infer_kind(frame[split.column]) == "id":
        told.setdefault(split.column, "number")
    for name in (*told, *roles):
        if name not in frame.columns:
            raise InputError(f"{where}: no column {name!r}{nearest(name, map(str, frame.columns))}")
    if not data.target:
        raise InputError(
            f"{where}: name at least one column to predict with --target"
            f"{nearest('', map(str, frame.columns))}"
        )
    columns = [
        _plan(frame[name], str(name), told.get(str(name)), roles.get(str(name)), where, data.dates)
        for name in frame.columns
    ]
    if not any(column.role == "input" for column in columns):
        raise InputError(f"{where}: no column is left to predict from")
    return Schema(tuple(columns))


def learn_schema(
    plan: Schema,
    frame: pd.DataFrame,
    rows: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    bins: int = 0,
    where: str = "table",
) -> Schema:
    """Complete a plan with scales, bins and levels, from the training rows alone.

    Args:
        plan: what `plan_columns` gave.
        frame: the table.
        rows: places of the training rows.
        weight: weight of every row of the frame; none: one each.
        bins: most quantile bins a number.
        where: the table's name, for messages.

    Raises:
        InputError: a cell that is not of its column's kind, a category with too many levels, or
            a target that does not vary.
    """
    weights = np.ones(len(frame)) if weight is None else weight
    columns = [
        _learn(column, frame[column.name], rows, weights, bins, where) for column in plan.columns
    ]
    return Schema(tuple(columns))


def _refuse_commas(frame: pd.DataFrame, known: set[str], where: str) -> None:
    """Numbers with commas would become categories or ids: say so instead."""
    for name in frame.columns:
        values = frame[name].dropna()
        if str(name) in known or values.empty or not pd.api.types.is_string_dtype(values.dtype):
            continue
        texts = values.astype(str)
        if texts.str.fullmatch(COMMA).mean() >= 0.95:
            raise InputError(
                f"{where}: column {name!r}: holds numbers with commas, such as"
                f" {texts.iloc[0]!r}; if they are decimal commas say --decimal , else take the"
                f" commas out, or take the column as --category {name} or --ignore {name}"
            )


def _roles(data: Data, split: Split) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    if split.kind == "group":
        roles[split.column] = "ignored"
    elif split.kind == "marks":
        roles[split.column] = "split"
    if data.weight:
        roles[data.weight] = "weight"
    for target in data.target:
        if roles.get(target) == "target":
            continue
        if target in roles:
            raise InputError(f"column {target!r}: cannot be both target and {roles[target]}")
        roles[target] = "target"
    return roles


def _plan(
    values: pd.Series, name: str, told: Told | None, role: Role | None, where: str, order: str
) -> Column:
    kind = infer_kind(values) if told is None or told == "ignore" else told
    note = "told" if told else "inferred"
    if role == "target" and told == "ignore":
        raise InputError(f"{where}: column {name!r}: is a target, so it cannot be ignored")
    if role == "target":
        return _plan_target(values, name, kind, note, where)
    if role is not None:
        return Column(name, "number" if role == "weight" else kind, role, "told")
    if told == "ignore":
        return Column(name, kind, "ignored", "told")
    if kind in ("id", "empty"):
        reason = "no value in any row" if kind == "empty" else _ID
        return Column(name, kind, "ignored", reason)
    form = _date_form(values, name, where, order) if kind == "date" else ""
    return Column(name, kind, "input", note, form=form)


def _date_form(values: pd.Series, name: str, where: str, order: str) -> str:
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return "ISO8601"
    known = values.dropna().astype(str)
    form = find_format(known, order, share=0.95)
    if form == AMBIGUOUS:
        raise InputError(
            f"{where}: column {name!r}: is {str(known.iloc[0])!r} the day or the month first? Every"
            " row allows both; say --data.dates day-first or --data.dates month-first"
        )
    if form is None:
        raise InputError(
            f"{where}: column {name!r}: no one way of writing dates fits its cells, such as"
            f" {str(known.iloc[0])!r}; write them like 2024-02-29"
        )
    return form


def _plan_target(values: pd.Series, name: str, kind: Kind, note: str, where: str) -> Column:
    if kind == "empty":
        raise InputError(f"{where}: target {name!r}: every value is missing")
    if values.dropna().nunique() < 2:
        found = str(values.dropna().iloc[0])
        raise InputError(f"{where}: target {name!r}: does not vary: every value is {found!r}")
    if kind == "date":
        raise InputError(
            f"{where}: target {name!r}: is a date; numbers and categories can be predicted"
        )
    if kind == "id":
        if not pd.to_numeric(values.dropna(), errors="coerce").notna().all():
            raise InputError(
                f"{where}: target {name!r}: hardly any of its values repeats, so it can be"
                f" predicted neither as a number nor as a category, such as"
                f" {str(values.dropna().iloc[0])[:40]!r}"
            )
        kind, note = "number", "target"
    if kind == "number" and note == "inferred" and _two_whole(values):
        kind, note = "category", "two whole numbers; --number takes them as a quantity"
    return Column(name, kind, "target", note)


def _two_whole(values: pd.Series) -> bool:
    numbers = pd.to_numeric(values.dropna(), errors="coerce")
    return numbers.nunique() == 2 and bool((numbers % 1 == 0).all())


def _learn(
    column: Column,
    values: pd.Series,
    rows: np.ndarray,
    weights: np.ndarray,
    bins: int,
    where: str,
) -> Column:
    if column.role not in ("input", "target"):
        return column
    gaps = bool(values.iloc[rows].isna().any())
    if column.categorical:
        levels = _learn_levels(column, values, rows, where)
        return replace(column, levels=levels, gaps=gaps)
    if column.kind == "date":
        parts = date_parts(to_dates(values, column.name, where, column.form))
    else:
        parts = {"value": to_numbers(values, column.name, where)}
    named = f"{where}: column {column.name!r}"
    features = tuple(
        _learn_feature(named, part, number[rows], weights[rows], bins)
        for part, number in parts.items()
    )
    _refuse_constant_target(column, features, where)
    return replace(column, features=features, gaps=gaps)


def _refuse_constant_target(column: Column, features: Sequence[Feature], where: str) -> None:
    if column.role == "target" and len(features[0].edges) < 2:
        raise InputError(f"{where}: target {column.name!r}: does not vary in the training rows")


def _learn_levels(
    column: Column, values: pd.Series, rows: np.ndarray, where: str
) -> tuple[str, ...]:
    counts = to_levels(values.iloc[rows]).value_counts()
    refuse_levels(len(counts), column.name, where)
    if column.role == "target":
        if len(counts) < 2:
            raise InputError(f"{where}: target {column.name!r}: one class in the training rows")
        return tuple(sorted(counts.index, key=ordered))
    return tuple(sorted(common_levels(counts, len(rows)).index, key=ordered))


def common_levels(counts: pd.Series, rows: int) -> pd.Series:
    """The levels that get an embedding of their own: one seen once trains that of unseen levels.

    Args:
        counts: rows by level.
        rows: in all; where they are few, every level counts.
    """
    return counts[counts >= _RARE] if rows >= 50 else counts


def ordered(level: str) -> tuple[bool, float, str]:
    """Numbers by size, then texts by alphabet."""
    try:
        return False, float(level), level
    except ValueError:
        return True, 0.0, level


def _learn_feature(
    name: str, part: str, number: np.ndarray, weights: np.ndarray, bins: int
) -> Feature:
    known = ~np.isnan(number) & (weights > 0)
    value, weight = number[known], weights[known]
    if value.size == 0:
        return Feature(part, 0.0, 1.0)
    with np.errstate(over="ignore"):
        mean = float(np.average(value, weights=weight))
        scale = float(np.sqrt(np.average((value - mean) ** 2, weights=weight)))
    if not np.isfinite(scale):
        raise InputError(f"{name}: its values are too large to be squared: give it in another unit")
    if not scale > 1e-12 * abs(mean):
        return Feature(part, mean, 1.0)
    edges = _edges((value - mean) / scale, weight, max(bins, 1))
    return Feature(part, mean, scale, tuple(float(edge) for edge in edges))


def _edges(value: np.ndarray, weight: np.ndarray, bins: int) -> np.ndarray:
    """Edges of at most so many bins that share the weight as evenly as the values allow.

    Every distinct value is an edge where they are few; else each bin takes the next values until
    it has its share of what is left, so that one value that fills half of the column costs one
    bin and not half of them.
    """
    values, place = np.unique(value, return_inverse=True)
    if len(values) <= bins + 1:
        return values
    mass = np.bincount(place, weights=weight)
    edges, left, rest, taken = [values[0]], bins, float(mass.sum()), 0.0
    for here, following in zip(mass[:-1], values[1:], strict=True):
        taken += float(here)
        if left > 1 and taken >= rest / left:
            edges.append(following)
            left, rest, taken = left - 1, rest - taken, 0.0
    return np.unique([*edges, values[-1]])
