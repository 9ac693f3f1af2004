"""The kinds there are, in the order in which a column is offered to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from counterpoint.errors import InputError, nearest
from counterpoint.table.columns._category import Boolean, Category
from counterpoint.table.columns._column import Column
from counterpoint.table.columns._date import Date
from counterpoint.table.columns._left_out import Empty, Identifier, Nested
from counterpoint.table.columns._number import Number
from counterpoint.table.columns._raw import RawColumn

Kinds: TypeAlias = Sequence[type[Column]]

KINDS: Kinds = (Empty, Nested, Boolean, Number, Date, Identifier, Category)
"""The first kind that does not reject a column has it; a row before another comes before it."""


@dataclass(frozen=True)
class Inference:
    """What a column is taken for, and why not for something else.

    Attributes:
        kind: the first kind that did not reject it.
        rejected: name of each kind before -> its reason.
    """

    kind: type[Column]
    rejected: dict[str, str] = field(default_factory=dict[str, str])


def infer_kind(raw: RawColumn, kinds: Kinds = KINDS) -> Inference:
    """Offer a column to kinds, one after the other.

    Raises:
        InputError: all reject it.

    >>> import pandas as pd
    >>> infer_kind(RawColumn("shade", pd.Series(["red", "blue", "red"]))).kind.kind
    'category'
    >>> infer_kind(RawColumn("day", pd.Series(["2024-02-29"]))).rejected["number"]
    '0% of its cells read as numbers'
    """
    rejected = dict[str, str]()
    for kind in kinds:
        reason = kind.reject(raw)
        if not reason:
            return Inference(kind, rejected)
        rejected[kind.kind] = reason
    reasons = "; ".join(f"no {name}: {reason}" for name, reason in rejected.items())
    raise InputError(f"{raw.where}: column {raw.name!r}: is of no kind: {reasons}")


def find_kind(name: str, kinds: Kinds = KINDS) -> type[Column]:
    """A kind by its name.

    Raises:
        InputError: there is none (names the nearest).
    """
    known = {kind.kind: kind for kind in kinds}
    if name not in known:
        raise InputError(f"no kind of column {name!r}{nearest(name, known)}")
    return known[name]
