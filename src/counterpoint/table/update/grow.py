"""New levels of categories and new classes of targets: what is new is added, what is old stays."""

from dataclasses import replace

import pandas as pd

from counterpoint.errors import InputError
from counterpoint.nn import TableNet
from counterpoint.recipe import Recipe
from counterpoint.seeding import seeded
from counterpoint.table.kinds import infer_kind, refuse_levels, to_levels
from counterpoint.table.learn import common_levels, ordered
from counterpoint.table.network import build_network
from counterpoint.table.schema import UNSEEN_LEVEL, Column, Schema

__all__ = ["first_new", "grow_network", "grow_schema"]


def grow_schema(schema: Schema, frame: pd.DataFrame, where: str = "table") -> Schema:
    """The columns with the levels and classes that a new table brings, after the old ones.

    Everything else stays: kinds, scales, bins, codes of old levels, widths of embeddings.

    Args:
        schema: the columns as known.
        frame: the rows to learn from.
        where: the table's name, for messages.

    Raises:
        InputError: a category holds another kind of values now, or more levels than can be learnt.
    """
    return Schema(tuple(_grown(column, frame, where) for column in schema.columns))


def first_new(old: Schema, new: Schema) -> dict[int, int]:
    """For each grown input, by its place among the categories, the first code that is new."""
    return {
        place: len(before.levels) + 2
        for place, (before, after) in enumerate(zip(old.categories, new.categories, strict=True))
        if len(after.levels) > len(before.levels)
    }


def grow_network(network: TableNet, old: Schema, new: Schema, recipe: Recipe) -> TableNet:
    """A network for more levels and classes, which says of old ones what the given one says.

    A new level starts with the vector of unseen levels, a new class with a logit of zero.

    Args:
        network: of the old columns; left as it is.
        old: its columns.
        new: the columns now.
        recipe: of both.
    """
    with seeded(0):  # the weights are replaced; the caller's random numbers are not to be
        grown = build_network(new, recipe)
    values = grown.state_dict()
    for name, value in network.state_dict().items():
        target = values[name]
        if target.shape != value.shape:
            target.zero_()
        target[tuple(map(slice, value.shape))] = value
    for place, first in first_new(old, new).items():
        table = grown.embeddings.weights[place].data
        table[first:] = table[UNSEEN_LEVEL]
    return grown.eval()


def _grown(column: Column, frame: pd.DataFrame, where: str) -> Column:
    if not column.categorical or column.role not in ("input", "target"):
        return column
    values = frame[column.name]
    _refuse_other_kind(column, values, where)
    counts = to_levels(values).value_counts()
    if column.role == "input":
        counts = common_levels(counts, len(values))
    fresh = [level for level in counts.index if level not in set(column.levels)]
    if not fresh:
        return column
    refuse_levels(len(column.levels) + len(fresh), column.name, where)
    width = Schema((replace(column, role="input"),)).widths[0]
    levels = (*column.levels, *sorted(fresh, key=ordered))
    return replace(column, levels=levels, width=width if column.role == "input" else 0)


def _refuse_other_kind(column: Column, cells: pd.Series, where: str) -> None:
    """Where no value is known and all read as numbers or dates, while no known level does."""
    known = to_levels(cells).dropna()
    if known.empty or known.isin(column.levels).any():
        return
    values, levels = (_nature(pd.Series(part)) for part in (known.tolist(), list(column.levels)))
    if values != "text" and values != levels:
        some = ", ".join(repr(level[:30]) for level in column.levels[:3])
        raise InputError(
            f"{where}: column {column.name!r}: holds {values}s such as {known.iloc[0][:40]!r};"
            f" the model knows it as a {column.kind} with levels such as {some}; is it another"
            " column of that name?"
        )


def _nature(texts: pd.Series) -> str:
    """What texts read as: "number", "date" or "text"."""
    if pd.to_numeric(texts, errors="coerce").notna().all():
        return "number"
    return "date" if infer_kind(texts) == "date" else "text"
