"""Every column of a table gets a kind and a role, as told or inferred."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from counterpoint.errors import InputError, nearest
from counterpoint.recipe import Data
from counterpoint.table.columns._category import Category
from counterpoint.table.columns._column import Column, Role
from counterpoint.table.columns._date import Date
from counterpoint.table.columns._kinds import KINDS, Kinds, find_kind, infer_kind
from counterpoint.table.columns._left_out import Identifier
from counterpoint.table.columns._levels import LevelColumn
from counterpoint.table.columns._lines import looks_like_values
from counterpoint.table.columns._moments import is_clock
from counterpoint.table.columns._number import Number
from counterpoint.table.columns._raw import RawColumn
from counterpoint.table.columns._schema import Schema
from counterpoint.table.columns._split import SplitRule

_NO_WORDS: Mapping[str, Mapping[str, int]] = {}
_SHOWN = 6
_FEW_LEVELS = 20


@dataclass(frozen=True)
class _Request:
    """What a recipe says of columns by name: their kinds, which to leave out, their roles."""

    kinds: Mapping[str, type[Column]]
    ignored: Collection[str]
    roles: Mapping[str, Role]


def plan_columns(
    raw: Mapping[str, RawColumn],
    data: Data,
    split: SplitRule,
    kinds: Kinds = KINDS,
    where: str = "table",
    words: Mapping[str, Mapping[str, int]] = _NO_WORDS,
) -> Schema:
    """Give every column a kind and a role, those that the recipe lists before those inferred.

    Args:
        raw: the columns as they came.
        data: the recipe's section.
        split: how rows are held out.
        kinds: what a column may be taken for, in order.
        where: the table's name, for messages.
        words: of each column, texts that were taken as missing -> how often.
    """
    named = _requested_kinds(data)
    roles = _roles(data, split) | _taught(raw, data, where)
    for name in (*named, *roles):
        if name not in raw:
            hint = nearest(name, raw)
            if looks_like_values([*raw]):
                hint += "; do the names stand in the first row? --no-header"
            elif len(raw) == 1:
                hint = f"; {next(iter(raw))[:40]!r} is the only one: is --separator another?"
            raise InputError(f"{where}: no column {name!r}{hint}")
    if not data.target:
        raise InputError(
            f"{where}: name at least one column to predict with --target{nearest('', raw)}"
        )
    _refuse_swallowed(raw, data.target, words)
    request = _Request(
        {name: find_kind(kind, kinds) for name, kind in named.items() if kind != "ignore"},
        {name for name, kind in named.items() if kind == "ignore"},
        roles,
    )
    schema = Schema(tuple(_plan(column, request, split, kinds) for column in raw.values()))
    if not schema.inputs:
        left = [f"{c.name!r} ({c.note})" for c in schema.columns if c.role == "ignored"]
        listed = f": {', '.join(left[:_SHOWN])}" if left else "; the target stands alone"
        raise InputError(f"{where}: no column is left to predict from{listed}")
    return schema


def _requested_kinds(data: Data) -> dict[str, str]:
    for name in data.ignore:
        if name in data.kinds:
            raise InputError(
                f"column {name!r}: told to be {data.kinds[name]} and ignore; choose one"
            )
    return {**data.kinds, **dict.fromkeys(data.ignore, "ignore")}


def _roles(data: Data, split: SplitRule) -> dict[str, Role]:
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


def _taught(raw: Mapping[str, RawColumn], data: Data, where: str) -> dict[str, Role]:
    """The columns in which a teacher's predictions stand."""
    found = dict[str, Role]()
    for target, name in data.teachers.items():
        own = [column for column in raw if column == name or column.startswith(f"{name} p(")]
        # "kind p(big)" may stand beside what was observed of "kind"
        own = [column for column in own if column not in data.target]
        if not own and name in data.target:
            raise InputError(
                f"{where}: {name!r} is a target, and no teacher of {target!r}; name a column of"
                " predictions, or a model folder"
            )
        if not own:
            raise InputError(f"{where}: no column of a teacher {name!r}{nearest(name, raw)}")
        found |= dict.fromkeys(own, "teacher")
    return found


def _plan(raw: RawColumn, request: _Request, split: SplitRule, kinds: Kinds) -> Column:
    name, role = raw.name, request.roles.get(raw.name)
    kind = request.kinds.get(name)
    if role in ("weight", "teacher"):
        return Number(name, role, "told")
    if role == "target":
        return _plan_target(raw, kind, kinds, ignored=name in request.ignored)
    inferred = kind is None
    kind = kind or infer_kind(raw, kinds).kind
    timed = split.kind == "time" and split.column == name
    # times hardly ever repeat, as numbers of customers do not
    if timed and kind is Identifier:
        kind, inferred = Number, False
    # what is left out is never read, so that nothing of how it is written has to be settled
    if role is not None:
        return kind(name, role, "told")
    if name in request.ignored:
        return kind(name, "ignored", "told", kind.find_form(raw) if timed else "")
    if kind.left_out:
        return kind(name, "ignored", _unread(raw) or kind.left_out)
    if inferred and issubclass(kind, LevelColumn):
        _refuse_costume(raw, f"column {name!r}", f"--category {name} or --ignore {name}")
    return kind(name, "input", "inferred" if inferred else "told", kind.find_form(raw))


def _plan_target(
    raw: RawColumn, told: type[Column] | None, kinds: Kinds, *, ignored: bool
) -> Column:
    target = f"{raw.where}: target {raw.name!r}"
    if ignored:
        raise InputError(f"{raw.where}: column {raw.name!r}: is a target, so it cannot be ignored")
    if raw.nature == "nothing":
        raise InputError(f"{target}: every value is missing")
    if raw.nature == "lists, records or bytes":
        raise InputError(f"{target}: holds {raw.nature}; write it as one column a part")
    kind = told or infer_kind(raw, kinds).kind
    if told is None and issubclass(kind, LevelColumn):
        _refuse_costume(raw, f"target {raw.name!r}", f"--category {raw.name}")
    known = raw.cells[~raw.missing]
    if known.nunique() < 2:
        raise InputError(f"{target}: does not vary: every value is {str(known.iloc[0])!r}")
    if kind is Identifier and raw.numeric_share < 1.0:
        raise InputError(
            f"{target}: hardly any of its values repeats, so it can be predicted neither as a"
            f" number nor as a category, such as {str(known.iloc[0])[:40]!r}"
        )
    note = "told"
    if told is None or kind is Identifier:
        kind, note = _as_target(raw, kind)
    if kind.head_type is None:
        raise InputError(
            f"{target}: is a {kind.kind}; numbers and categories can be predicted, so write values"
            f" such as {str(known.iloc[0])[:40]!r} as one"
        )
    return kind(raw.name, "target", note, kind.find_form(raw))


def _as_target(raw: RawColumn, kind: type[Column]) -> tuple[type[Column], str]:
    """What a column is predicted as that would be of a kind as an input, and why."""
    # prices to the cent repeat as seldom as names, and a target is told to be a quantity
    if kind is Identifier:
        return Number, "target"
    # a time of day is seldom what is asked for, and how long something lasts often is
    if kind is Date and is_clock(kind.find_form(raw)):
        return Number, "clocks are taken as lengths of time"
    if kind is Number and raw.ranges:
        return Category, f"ranges; --number {raw.name} takes the middle of each"
    # 0 and 1 are more often no and yes than quantities; the note says how to say otherwise
    if kind is Number and _two_whole(raw.quantities.numbers[~raw.blank]):
        return Category, "two whole numbers; --number takes them as a quantity"
    return kind, "inferred"


def _refuse_swallowed(
    raw: Mapping[str, RawColumn], targets: Collection[str], words: Mapping[str, Mapping[str, int]]
) -> None:
    """Refuse a target of one value beside a word that was taken as none: it may be the other."""
    for name in targets:
        found = [word for word in words.get(name, ()) if word]
        if found and raw[name].cells.nunique() == 1:
            count = words[name][found[0]]
            raise InputError(
                f"{raw[name].where}: target {name!r}: does not vary, but {found[0]!r} in"
                f" {count:,} rows was taken as no value; --not-missing {found[0]} makes it a value"
            )


def _unread(raw: RawColumn) -> str:
    """Why a column is left out whose cells look like quantities and are read as none."""
    if not raw.unread:
        return ""
    return (
        f"hardly any value repeats, and cells such as {raw.unread[:40]!r} read as no number or"
        " date; written as plain numbers or dates they would count"
    )


def _refuse_costume(raw: RawColumn, named: str, ways: str) -> None:
    """Numbers or dates that are not written as such would be classes without an order: say so."""
    if not raw.costume or raw.texts.nunique() <= _FEW_LEVELS:
        return
    raise InputError(
        f"{raw.where}: {named}: holds {raw.costume}; write them as plain numbers or dates, name"
        f" words for no value with --missing, or say {ways}"
    )


def _two_whole(numbers: np.ndarray) -> bool:
    read = numbers[~np.isnan(numbers)]
    return len(np.unique(read)) == 2 and bool((read % 1 == 0).all() and len(read) == len(numbers))
