"""Fit a table: train the members, then say what is known of their weights."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median_low
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from counterpoint.goals import Goals
from counterpoint.nn import TableNet
from counterpoint.plain import StrPath
from counterpoint.recipe import PLAIN, Recipe
from counterpoint.seeding import derive, seeded, threads
from counterpoint.table.columns import KINDS, Kinds, Table
from counterpoint.table.evaluate._describe import TrainingSummary
from counterpoint.table.evaluate._evaluate import evaluate_model
from counterpoint.table.fit._losses import make_goals, make_source
from counterpoint.table.fit._luna import drop_heads, make_luna_goals
from counterpoint.table.fit._prepare import Announce, Prepared, prepare
from counterpoint.table.model._exemplars import Exemplars
from counterpoint.table.model._history import HistoryEntry
from counterpoint.table.model._memory import remember
from counterpoint.table.model._model import Member, TableModel
from counterpoint.table.model._network import build_network
from counterpoint.table.uncertainty import UNCERTAINTIES
from counterpoint.train import Fit, FitEnding, fit


class Interrupted(RuntimeError):
    """The fit was asked to stop; with a folder it goes on when it is called again.

    Attributes:
        signal: number of the signal.
    """

    def __init__(self, signal: int) -> None:
        super().__init__("the fit was interrupted")
        self.signal = signal


@dataclass(frozen=True)
class Context:
    """Where a fit happens; nothing of it changes what is fitted.

    Attributes:
        name: the table's name, for messages and the report.
        folder: where checkpoints and the log go, so that a killed fit goes on; none: nowhere.
        command: what to type to go on, shown when the fit is interrupted.
        progress: whether to show progress.
        announce: called with the plan of columns and the split before the long work.
        fingerprint: identifies the table's content, so that a changed table is not resumed.
    """

    name: str = "table"
    folder: StrPath | None = None
    command: str = ""
    progress: bool = False
    announce: Announce | None = None
    fingerprint: str = ""


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
            remember of the rows what an update needs.
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
    unresolved, recipe = recipe, recipe.resolved(len(prepared.rows.fitted(0)))
    trained = [_train(prepared, recipe, context, place) for place in range(recipe.network.members)]
    networks = [network for network, _ in trained]
    posteriors = UNCERTAINTIES[recipe.posterior.uncertainty].fit(networks, prepared)
    for network, posterior in zip(networks, posteriors, strict=True):
        posterior.settle(network)
    members = tuple(Member(*pair) for pair in zip(networks, posteriors, strict=True))
    model = TableModel(
        prepared.schema, recipe, members, log=_log(context, len(members)), unresolved=unresolved
    )
    if not evaluate:
        return model
    table = replace(table, schema=prepared.schema)
    model = _remembering(model, table, prepared, context)
    course = _course([course for _, course in trained])
    findings = evaluate_model(model, table, prepared, course)
    findings = replace(
        findings, name=context.name, command=context.command, created=model.history[0].created
    )
    return replace(model, findings=findings)


def _remembering(
    model: TableModel, table: Table, prepared: Prepared, context: Context
) -> TableModel:
    """The model with what an update needs of the rows."""
    train, test = (torch.from_numpy(part) for part in (prepared.rows.train, prepared.rows.test))
    members = tuple(
        replace(m, memory=remember(m.network, prepared, train, m.posterior.noise))
        for m in model.members
    )
    most, seed = model.recipe.data.keep_sample, model.recipe.training.seed
    # rows that nothing was fitted to, where there are such, say more of what is forgotten
    shown = test if len(test) else train
    return replace(
        model,
        members=members,
        counts=table.count(prepared.rows.train, prepared.weight.numpy()),
        exemplars=Exemplars.of(prepared, shown, most, seed, len(train) / len(shown))
        if most
        else None,
        history=(HistoryEntry(context.name, context.fingerprint, len(train), now(), "fit"),),
    )


def now() -> str:
    """The time, ISO 8601, in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _train(
    prepared: Prepared, recipe: Recipe, context: Context, place: int
) -> tuple[TableNet, Fit]:
    told = recipe.training
    heads = _heads(recipe)
    with seeded(derive(told.seed, 1, place)):
        network = build_network(prepared.schema, recipe, heads)
    settings = replace(
        told,
        seed=derive(told.seed, 2, place),
        balance=told.balance if len(prepared.targets) > 1 else PLAIN,
    )
    fitted = torch.from_numpy(prepared.rows.fitted(place))
    course = fit(
        network,
        _goals(prepared, recipe, fitted),
        make_source(prepared, fitted),
        settings,
        validation=make_source(prepared, torch.from_numpy(prepared.rows.held[place]), fitted),
        folder=member_folder(context, place),
        recipe=_identity(recipe, context),
        command=context.command or None,
        progress=context.progress and f"network {place + 1} of {recipe.network.members}",
    )
    if course.status is FitEnding.INTERRUPTED:
        raise Interrupted(course.signal)
    if heads > 1:
        with seeded(0):  # its weights are replaced; the caller's random numbers are not to be
            network = drop_heads(network, build_network(prepared.schema, recipe), heads)
    _fill_unused(network, prepared, fitted)
    return network, course


def _heads(recipe: Recipe) -> int:
    """Heads of each target while training."""
    return recipe.posterior.heads if recipe.posterior.uncertainty == "luna" else 1


def _goals(prepared: Prepared, recipe: Recipe, fitted: Tensor) -> Goals:
    heads = _heads(recipe)
    if heads == 1:
        return make_goals(prepared.targets, fitted)
    return make_luna_goals(prepared.targets, fitted, heads, recipe.posterior.diversity)


def member_folder(context: Context, place: int) -> Path | None:
    """Where a member's checkpoints and log go; None: nowhere."""
    return None if context.folder is None else Path(context.folder) / f"member-{place}"


def _identity(recipe: Recipe, context: Context) -> dict[str, Any]:
    """What must be the same for a run to be resumed, besides what `fit` itself compares."""
    # `fit` knows which settings of the training may change between two starts; this does not
    rest = {name: part for name, part in asdict(recipe).items() if name != "training"}
    return {**rest, "table": context.fingerprint}


def _course(fits: list[Fit]) -> TrainingSummary:
    best = [course.best_epoch for course in fits if course.best_epoch is not None]
    return TrainingSummary(
        status=fits[-1].status.sentence,
        best_epoch=median_low(best) if best else None,
        seconds=sum(course.seconds for course in fits),
        histories=[course.history for course in fits],
        balance=fits[0].balance,
    )


def _fill_unused(network: TableNet, prepared: Prepared, fitted: Tensor) -> None:
    codes = prepared.inputs["categories"][fitted]
    counts = [
        torch.bincount(codes[:, place], minlength=levels)
        for place, levels in enumerate(prepared.schema.cardinalities)
    ]
    network.embeddings.fill_unused(counts)


def _log(context: Context, members: int) -> str:
    lines: list[str] = []
    for place in range(members):
        folder = member_folder(context, place)
        if folder is not None and (folder / "log.jsonl").exists():
            text = (folder / "log.jsonl").read_text("utf-8")
            lines += [json.dumps({"member": place, **json.loads(t)}) for t in text.splitlines()]
    return "".join(f"{line}\n" for line in lines)
