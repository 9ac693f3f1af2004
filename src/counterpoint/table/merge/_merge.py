"""Join models of tables that were fitted at several places, without their rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from counterpoint.errors import InputError
from counterpoint.findings import ENSEMBLE_KIND
from counterpoint.plain import StrPath
from counterpoint.recipe import Recipe
from counterpoint.seeding import threads
from counterpoint.storage import folder_kind
from counterpoint.table.merge._differences import refuse_other_columns
from counterpoint.table.merge._ensemble import TableEnsemble
from counterpoint.table.merge._shared import added, why_not
from counterpoint.table.model._model import TableModel
from counterpoint.table.targets._prediction import Prediction


@dataclass(frozen=True)
class MergedTables:
    """What a merge of table models gave.

    Attributes:
        model: predicts what they predict.
        exact: whether it is the model that all rows together would have given, on their trunk.
        why: the way that was taken, and why, in a sentence.
        rows: of each site, those of the base counted in each.
    """

    model: TableModel | TableEnsemble
    exact: bool
    why: str
    rows: dict[str, int]


def merge_tables(
    models: Sequence[TableModel],
    names: Sequence[str] = (),
    *,
    base: TableModel | None = None,
) -> MergedTables:
    """One model of several that never saw each other's rows.

    Over one trunk (all were updated from one model, the `base`, or none of them has rows of
    another) the last layers are added exactly: numbers by their sums of squares, classes by their
    Gaussians, what was learnt before they parted once. Otherwise each model goes on reading rows
    in its own way, and they predict as a mixture.

    Args:
        models: two or more.
        names: of the sites.
        base: the model from which all of them went on.

    Raises:
        InputError: columns differ (says which), a table was learnt at two sites, or models that
            share rows come without their base.
    """
    if len(models) < 2:
        raise InputError(f"merge: at least two models are expected, found {len(models)}")
    names = [str(name) for name in names] or [f"site {n}" for n in range(1, len(models) + 1)]
    for name, model in zip(names[1:], models[1:], strict=True):
        refuse_other_columns(models[0].schema, model.schema, (names[0], name))
    if base is not None:
        refuse_other_columns(models[0].schema, base.schema, (names[0], "the base"))
    _refuse_twice(models, names, base)
    rows = {n: sum(e.rows for e in m.history) for n, m in zip(names, models, strict=True)}
    reason = why_not(models, base)
    if reason:
        model = TableEnsemble(tuple(names), tuple(models))
        why = f"{reason}, so that they predict as a mixture, each by its share of the rows"
        return MergedTables(model, False, why, rows)
    with threads(models[0].recipe.threads):
        model, learnt_twice = added(models, base)
    why = "one trunk: the last layers are those that all rows together would have given"
    if learnt_twice:
        listed = ", ".join(repr(level) for level in learnt_twice[:4])
        why += f", but for rows of {listed}, whose vectors several sites learnt: they have the mean"
    return MergedTables(model, not learnt_twice, why, rows)


@runtime_checkable
class TablePredictor(Protocol):
    """What predicts rows of a table: one model, or several that were merged."""

    @property
    def recipe(self) -> Recipe:
        """What the fit was told; of several, the first."""
        ...

    def read(self, frame: pd.DataFrame, where: str = "table") -> Any:
        """The cells of a table to predict, parsed, for the other methods."""
        ...

    def remarks(self, table: Any, where: str = "table") -> list[str]:
        """What is unlike the training rows, in sentences."""
        ...

    def predict(self, table: Any, where: str = "table") -> dict[str, Prediction]:
        """Predict every target in every row."""
        ...


def load_tables(path: StrPath) -> TablePredictor:
    """Read a model folder, of one model or of several that were merged.

    Raises:
        InputError: it is neither, or damaged.
    """
    return TableEnsemble.load(path) if folder_kind(path) == ENSEMBLE_KIND else TableModel.load(path)


def _refuse_twice(
    models: Sequence[TableModel], names: Sequence[str], base: TableModel | None
) -> None:
    """Rows count once: what two sites have learnt is what the base has learnt."""
    before = set() if base is None else set(base.history)
    seen = dict[str, str]()
    for name, model in zip(names, models, strict=True):
        if not before <= set(model.history):
            raise InputError(f"merge: {name} lacks what the base learnt, and did not go on from it")
        for entry in model.history:
            # a table that was no file has nothing to be known by
            if entry in before or not entry.sha256:
                continue
            other = seen.setdefault(entry.sha256, name)
            if other != name:
                raise InputError(
                    f"merge: {other} and {name} have both learnt {entry.name} ({entry.rows:,}"
                    " rows), which would count twice; give the model from which both went on as"
                    " --base"
                )
