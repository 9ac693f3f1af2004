"""Fit a table: train the members, then say what is known of their weights."""

from dataclasses import replace
from datetime import UTC, datetime
from statistics import median_low

import pandas as pd
import torch

from counterpoint.recipe import Recipe
from counterpoint.seeding import threads
from counterpoint.table.columns import KINDS, Kinds, Table
from counterpoint.table.evaluate._describe import TrainingSummary
from counterpoint.table.evaluate._evaluate import evaluate_model
from counterpoint.table.fit._context import Context
from counterpoint.table.fit._few_rows import with_trunk
from counterpoint.table.fit._members import read_log, train_members
from counterpoint.table.fit._prepare import Prepared, prepare
from counterpoint.table.fit._size import free_memory, measure_size
from counterpoint.table.model._aside import group_place
from counterpoint.table.model._exemplars import Exemplars
from counterpoint.table.model._history import HistoryEntry
from counterpoint.table.model._memory import remember
from counterpoint.table.model._model import Member, TableModel
from counterpoint.table.uncertainty import UNCERTAINTIES
from counterpoint.train import Fit


def fit_table(
    frame: pd.DataFrame,
    recipe: Recipe,
    context: Context | None = None,
    *,
    evaluate: bool = True,
    kinds: Kinds = KINDS,
) -> TableModel:
    """Fit a table as a recipe says.

    Args:
        frame: the table.
        recipe: what to predict from what, and how.
        context: where it happens.
        evaluate: whether to measure the held-out rows and describe the table (`findings`), and to
            remember of the rows what an update of whole networks needs.
        kinds: what a column may be taken for, in order; see `counterpoint.table.columns`.

    Returns:
        The fitted model, not saved yet.

    Raises:
        InputError: the table cannot be used as told.
        Interrupted: the fit was asked to stop; a checkpoint was written if there is a folder.
    """
    context = context or Context()
    with threads(recipe.threads):
        return _fit(Table.plan(frame, recipe.data, kinds, context.name), recipe, context, evaluate)


def _fit(table: Table, recipe: Recipe, context: Context, evaluate: bool) -> TableModel:
    prepared = prepare(table, recipe, context.announce)
    group_place(prepared.schema, recipe.data.conformal_by)  # before any training
    unresolved, recipe = recipe, recipe.resolved(len(prepared.rows.fitted(0)))
    if unresolved.network.trunk == "auto":
        recipe = with_trunk(prepared, recipe)
        unresolved = replace(unresolved, network=recipe.network)
    size = measure_size(prepared, recipe, free_memory())
    if context.sized is not None:
        context.sized(size.sentence)
    trained = train_members(prepared, recipe, context)
    networks = [network for network, _ in trained]
    posteriors = UNCERTAINTIES[recipe.posterior.uncertainty].fit(networks, prepared)
    for network, posterior in zip(networks, posteriors, strict=True):
        posterior.settle(network)
    members = tuple(Member(*pair) for pair in zip(networks, posteriors, strict=True))
    log = read_log(context, len(members))
    model = TableModel(prepared.schema, recipe, members, log=log, unresolved=unresolved)
    table = replace(table, schema=prepared.schema)
    model = _counting(model, table, prepared, context)
    if not evaluate:
        return model
    model = _remembering(model, prepared)
    course = _course([course for _, course in trained])
    findings = evaluate_model(model, table, prepared, course)
    findings = replace(
        findings, name=context.name, command=context.command, created=model.history[0].created
    )
    return replace(model, findings=findings)


def _counting(model: TableModel, table: Table, prepared: Prepared, context: Context) -> TableModel:
    """The model with what an update of its heads needs of the rows, which costs next to nothing."""
    train = prepared.rows.train
    aside = torch.from_numpy(prepared.rows.aside)
    return replace(
        model,
        aside=Exemplars.of(prepared, aside, len(aside), 0) if len(aside) else None,
        counts=table.count(train, prepared.weight.numpy()),
        history=(HistoryEntry(context.name, context.fingerprint, len(train), now(), "fit"),),
    )


def _remembering(model: TableModel, prepared: Prepared) -> TableModel:
    """The model with what an update of whole networks needs of the rows."""
    train, test = (torch.from_numpy(part) for part in (prepared.rows.train, prepared.rows.test))
    members = tuple(
        replace(m, memory=remember(m.network, prepared, train, m.posterior.noise))
        for m in model.members
    )
    most, seed = model.recipe.data.keep_sample, model.recipe.training.seed
    # rows that nothing was fitted to, where there are such, say more of what is forgotten
    shown = test if len(test) else train
    kept = Exemplars.of(prepared, shown, most, seed, len(train) / len(shown)) if most else None
    return replace(model, members=members, exemplars=kept)


def now() -> str:
    """The time, ISO 8601, in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _course(fits: list[Fit]) -> TrainingSummary:
    best = [course.best_epoch for course in fits if course.best_epoch is not None]
    return TrainingSummary(
        status=fits[-1].status.sentence,
        best_epoch=median_low(best) if best else None,
        seconds=sum(course.seconds for course in fits),
        histories=[course.history for course in fits],
        balance=fits[0].balance,
    )
