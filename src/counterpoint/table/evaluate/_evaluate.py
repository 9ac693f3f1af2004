"""Measure a fitted table on the rows that were held out, against knowing nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from counterpoint.findings import Findings, Importance, KnownLeast, TargetFindings
from counterpoint.posterior.calibration import nll
from counterpoint.recipe import PLAIN, Recipe
from counterpoint.table.columns import Table, UsableColumn
from counterpoint.table.evaluate._describe import (
    UNDRAWN,
    TrainingSummary,
    describe_balance,
    describe_columns,
    describe_embeddings,
    describe_history,
)
from counterpoint.table.evaluate._groups import group_coverage
from counterpoint.table.evaluate._ignorance import map_ignorance
from counterpoint.table.evaluate._importance import measure_importance
from counterpoint.table.evaluate._shuffled import Slots, is_incremental, shuffler
from counterpoint.table.fit._losses import goal_names
from counterpoint.table.fit._prepare import Prepared, Target
from counterpoint.table.model._model import TableModel
from counterpoint.table.targets._prediction import Prediction

_Figure = TypeVar("_Figure")

_SHUFFLED = 2_000
_LEAST_SHUFFLED = 500
_MANY, _FEW = 100, 20
"""Columns beyond which fewer rows are shuffled: where a column's part is enough, and where not."""

_LIKELIHOOD = "log likelihood"
_DISHONEST = {
    "narrow": "on held-out rows its intervals are too narrow",
    "wide": "on held-out rows its intervals are too wide",
    "misshapen": "on held-out rows its intervals are right at some levels and not at others",
    "lopsided": "on held-out rows its predictions are off to one side",
    "uneven": "on held-out rows its intervals are right for some predictions and not for others",
}
_LEAST = 10


def evaluate_model(
    model: TableModel, table: Table, prepared: Prepared, course: TrainingSummary
) -> Findings:
    """Everything the report shows, from a fitted model and its table.

    Args:
        model: the fitted model.
        table: the whole table, under the model's columns.
        prepared: its tensors and split.
        course: how the training went.
    """
    test = torch.from_numpy(prepared.rows.test)
    inputs = {name: value[test] for name, value in prepared.inputs.items()}
    predictions = model.predict_encoded(inputs) if len(test) else {}
    notes = _notes(prepared, model.recipe)
    targets = [
        _drawn(
            lambda target=target: _target(model, prepared, target, predictions, test),
            TargetFindings(target.name, target.head.kind, metrics={}),
            f"how good the predictions of {target.name!r} are",
            notes,
        )
        for target in prepared.targets
    ]
    notes += _warnings(targets)
    rows = prepared.rows
    importance = _drawn(
        lambda: _importance(model, prepared, test), [], "which columns matter", notes
    )
    return Findings(
        name="",
        created="",
        version=version("counterpoint"),
        command="",
        rows={"train": len(rows.train), "test": len(rows.test), "total": table.rows},
        parameters=sum(p.numel() for m in model.members for p in m.network.parameters()),
        status=course.status,
        best_epoch=course.best_epoch,
        seconds=course.seconds,
        columns=list(prepared.described) or describe_columns(table),
        history=describe_history(course.histories),
        targets=targets,
        importance=importance,
        embeddings=_drawn(
            lambda: describe_embeddings(
                model.members[0].network,
                model.schema,
                prepared.inputs["categories"][torch.from_numpy(rows.train)],
            ),
            [],
            "the map of levels",
            notes,
        ),
        known_least=_drawn(
            lambda: [
                _known_least(table, target, prepared, predictions[target.name])
                for target in prepared.targets
                if target.name in predictions
            ],
            [],
            "where the model knows least",
            notes,
        ),
        balance=describe_balance(course.balance),
        uncertainty=model.recipe.posterior.uncertainty,
        maps=_drawn(
            lambda: map_ignorance(model, table, prepared, importance, predictions),
            [],
            "the map of ignorance",
            notes,
        ),
        notes=notes,
    )


def _drawn(make: Callable[[], _Figure], empty: _Figure, what: str, notes: list[str]) -> _Figure:
    """A figure, or nothing and a sentence: the model has been trained, and is worth more."""
    try:
        return make()
    except UNDRAWN as error:
        notes.append(f"{what} could not be told: {error!s:.200}")
        return empty


def _notes(prepared: Prepared, recipe: Recipe) -> list[str]:
    notes, balance = list(prepared.remarks), recipe.training.balance
    if recipe.network.trunk == "linear":
        notes.append(
            "the model is linear in its columns: rows that were left out speak for no network;"
            " --network.trunk plain asks for one"
        )
    notes += [
        f"column {column.name!r} is ignored: {column.note}"
        for column in prepared.schema.columns
        if column.role == "ignored" and column.note != "told"
    ]
    notes += [
        f"target {target.name!r} {target.head.note}"
        for target in prepared.targets
        if target.head.note
    ]
    if len(prepared.rows.test) == 0:
        notes.append("no rows were held out, so nothing here says how good the predictions are")
    if balance != PLAIN and len(goal_names(prepared.targets)) == 1:
        notes.append(f"balance {balance!r} has no effect: one target shares its steps with none")
    return notes


def _warnings(targets: Sequence[TargetFindings]) -> list[str]:
    """What a reader of predictions should know before he uses them."""
    found = list[str]()
    for target in targets:
        name, nothing = target.metrics.get(_LIKELIHOOD), target.baseline.get(_LIKELIHOOD)
        if name is not None and nothing is not None and name < nothing:
            found.append(
                f"target {target.name!r}: log likelihood is worse than knowing nothing"
                f" ({name:.4g} against {nothing:.4g} nats a row): do not rely on its"
                f" {'probabilities' if target.kind == 'category' else 'intervals'}"
            )
        verdict = target.verdict
        if verdict is not None and verdict.judgement in _DISHONEST:
            found.append(f"target {target.name!r}: {_DISHONEST[verdict.judgement]}; see the report")
    return found


def _target(
    model: TableModel,
    prepared: Prepared,
    target: Target,
    predictions: Mapping[str, Prediction],
    test: Tensor,
) -> TargetFindings:
    known = target.weight[test] > 0
    if not known.any():
        kind = model.schema.column(target.name).kind
        return TargetFindings(target.name, kind, metrics={})
    rows, train = test[known], torch.from_numpy(prepared.rows.train)
    prediction = predictions[target.name].rows(known)
    actual, weight = units(target, rows), target.weight[rows]
    # of the training rows: who knows nothing has not seen the rows held out either
    base = target.head.constant(units(target, train), target.weight[train], len(rows))
    found = TargetFindings(
        name=target.name,
        kind=target.head.kind,
        metrics=prediction.measures(actual, weight),
        baseline=base.measures(actual, weight),
    )
    level = model.recipe.posterior.interval
    found = prediction.findings(found, rows, actual, weight, level)
    inside = prediction.inside(actual, level)
    if inside is None:
        return found
    inputs = {name: value[rows] for name, value in prepared.inputs.items()}
    return replace(found, groups=group_coverage(model.schema, inputs, inside, weight))


def units(target: Target, rows: Tensor) -> Tensor:
    """The values of some rows as predictions are about them, (N,)."""
    return target.actual[rows]


def _importance(model: TableModel, prepared: Prepared, test: Tensor) -> list[Importance]:
    if len(test) < 2:
        return []
    most = _shuffled_rows(model, max(t.outputs for t in prepared.targets))
    chosen = test if len(test) <= most else test[torch.linspace(0, len(test) - 1, most).long()]
    inputs = {name: value[chosen] for name, value in prepared.inputs.items()}
    targets = [t for t in prepared.targets if bool((t.weight[chosen] > 0).any())]

    if not targets:
        return []
    shuffled = shuffler(model, inputs)

    def losses(slots: Slots, orders: Tensor) -> dict[str, list[float]]:
        found = shuffled(slots, orders)
        parts = torch.arange(orders.numel()).split(len(chosen))
        return {
            t.name: [_loss(found[t.name].rows(part), t, chosen) for part in parts] for t in targets
        }

    return measure_importance(model.schema, len(chosen), losses, seed=model.recipe.training.seed)


def _shuffled_rows(model: TableModel, outputs: int) -> int:
    """Of how many rows columns are shuffled: so many that the cost is linear in the columns."""
    columns = len(model.schema.inputs)
    # a column shuffled is a prediction of all rows, which many outputs make dear
    most = max(50, _SHUFFLED // max(1, outputs // 4) ** 2)
    if is_incremental(model):
        return min(most, max(_LEAST_SHUFFLED, _SHUFFLED * _MANY // columns))
    # each of them is a prediction with all columns
    return max(50, min(most, _SHUFFLED * _FEW // columns))


def _loss(prediction: Prediction, target: Target, rows: Tensor) -> float:
    """Mean negative log likelihood, in nats a row."""
    return float(nll(prediction.log_prob(units(target, rows)), target.weight[rows]))


def _known_least(
    table: Table, target: Target, prepared: Prepared, prediction: Prediction
) -> KnownLeast:
    # stable, so that rows of equal knowledge are the same in every report
    order = np.argsort(-prediction.knowledge, kind="stable")[:_LEAST]
    places = prepared.rows.test[order].tolist()
    (column,) = (c for c in table.schema.targets if c.name == target.name)
    guess = prediction.guess
    return KnownLeast(
        target=target.name,
        row=[place + 1 for place in places],
        knowledge=[float(prediction.knowledge[place]) for place in order],
        prediction=[_shown(guess[place]) for place in order],
        actual=[_cell(table, column, place) for place in places],
        values=[{c.name: _cell(table, c, place) for c in table.schema.inputs} for place in places],
    )


def _cell(table: Table, column: UsableColumn, row: int) -> str:
    values = table.values[column.name]
    return "" if values.missing[row] else column.show(values.data[row])[:60]


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)[:60]
