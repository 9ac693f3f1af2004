"""Where the columns of two models differ, column by column."""

from collections.abc import Sequence

from counterpoint.errors import InputError
from counterpoint.table.columns import Schema, UsableColumn
from counterpoint.table.columns._levels import LevelColumn


def refuse_other_columns(first: Schema, other: Schema, names: tuple[str, str]) -> None:
    """See that two models predict the same of the same.

    Raises:
        InputError: names each column that one has and the other has not, or takes for another kind.
    """
    found = list[str]()
    for role in ("target", "input"):
        a = {column.name: column for column in first.columns if column.role == role}
        b = {column.name: column for column in other.columns if column.role == role}
        found += [f"{name!r} ({role}) is only in {names[0]}" for name in a if name not in b]
        found += [f"{name!r} ({role}) is only in {names[1]}" for name in b if name not in a]
        found += [
            f"{name!r} is a {a[name].kind} in {names[0]} and a {b[name].kind} in {names[1]}"
            for name in a
            if name in b and a[name].kind != b[name].kind
        ]
    if found:
        more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
        raise InputError(
            f"merge: the columns differ: {'; '.join(found[:4])}{more}; fit both with the same"
            " columns, --kind where they are taken for others"
        )


def apart(first: Schema, other: Schema) -> str:
    """Why codes and numbers mean different things in two models, in words; empty if they do not.

    Levels that one has after those that both have make no difference.
    """
    for a, b in zip(_used(first), _used(other), strict=True):
        if isinstance(a, LevelColumn) and isinstance(b, LevelColumn):
            # what follows the levels that both know is what one of them saw: that may differ
            if not common([a, b]):
                return f"column {a.name!r} has other levels"
        elif a != b:
            return f"column {a.name!r} has another scale or other bins"
    return ""


def common(columns: Sequence[LevelColumn]) -> int:
    """How many levels at the beginning all of some columns have in the same order."""
    count = 0
    # by place: a level of another code is another vector, whatever its name
    for levels in zip(*(column.levels for column in columns), strict=False):
        if len(set(levels)) > 1:
            break
        count += 1
    return count


def _used(schema: Schema) -> list[UsableColumn]:
    return [*schema.inputs, *schema.targets]
