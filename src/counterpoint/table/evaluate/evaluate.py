"""Measure a fitted table on the rows that were held out, against knowing nothing."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import cast

import numpy as np
import torch
from torch import Tensor

from counterpoint.findings import Findings, HeldOut, Importance, KnownLeast, TargetFindings
from counterpoint.posterior import Predictive
from counterpoint.posterior.calibration import nll
from counterpoint.recipe import PLAIN
from counterpoint.table.columns import NumberHead, Table, UsableColumn
from counterpoint.table.evaluate.describe import (
    TrainingSummary,
    describe_balance,
    describe_columns,
    describe_embeddings,
    describe_history,
    finite,
)
from counterpoint.table.evaluate.ignorance import map_ignorance
from counterpoint.table.evaluate.importance import measure_importance
from counterpoint.table.evaluate.measures import (
    category_measures,
    covered,
    number_measures,
    reliable,
)
from counterpoint.table.fit.prepare import Prepared, Target
from counterpoint.table.model.model import TableModel
from counterpoint.table.model.predictions import CategoryPrediction, NumberPrediction, Prediction

__all__ = ["evaluate_model"]

_SHOWN = 400
_SHUFFLED = 2_000
_LEAST = 10
_CLASSES = 30


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
    targets = [_target(model, prepared, target, predictions, test) for target in prepared.targets]
    rows = prepared.rows
    importance = _importance(model, prepared, test)
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
        columns=describe_columns(table),
        history=describe_history(course.histories),
        targets=targets,
        importance=importance,
        embeddings=describe_embeddings(
            model.members[0].network,
            model.schema,
            prepared.inputs["categories"][torch.from_numpy(rows.train)],
        ),
        known_least=[
            _known_least(table, target, prepared, predictions[target.name])
            for target in prepared.targets
            if target.name in predictions
        ],
        notes=_notes(prepared, model.recipe.training.balance),
        balance=describe_balance(course.balance),
        uncertainty=model.recipe.posterior.uncertainty,
        maps=map_ignorance(model, table, prepared, importance, predictions),
    )


def _notes(prepared: Prepared, balance: str) -> list[str]:
    notes = [
        f"column {column.name!r} is ignored: {column.note}"
        for column in prepared.schema.columns
        if column.role == "ignored" and column.note != "told"
    ]
    if len(prepared.rows.test) == 0:
        notes.append("no rows were held out, so nothing here says how good the predictions are")
    if balance != PLAIN and len(prepared.targets) == 1:
        notes.append(f"balance {balance!r} has no effect: one target shares its steps with none")
    return notes


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
    rows = test[known]
    train = torch.from_numpy(prepared.rows.train)
    prediction = predictions[target.name]
    if isinstance(prediction, NumberPrediction):
        level = model.recipe.posterior.interval
        return _number(target, prediction.rows(known), rows, train, level)
    return _category(target, cast("CategoryPrediction", prediction).rows(known), rows, train)


def _number(
    target: Target, prediction: NumberPrediction, test: Tensor, train: Tensor, level: float
) -> TargetFindings:
    low, high = (torch.from_numpy(bound) for bound in prediction.interval(level))
    actual, weight = units(target, test), target.weight[test]
    metrics = number_measures(prediction.distribution, actual, weight)
    inside = ((actual >= low) & (actual <= high)).double()
    share = weight / weight.sum()
    metrics[f"coverage of {level:.0%} interval"] = finite(float(share @ inside))
    metrics["mean interval width"] = finite(float(share @ (high - low)))
    base = _constant(units(target, train), target.weight[train], len(actual))
    shown = torch.linspace(0, len(actual) - 1, min(len(actual), _SHOWN)).long()
    parts = (
        test + 1,
        actual,
        torch.from_numpy(prediction.mean),
        low,
        high,
        torch.from_numpy(prediction.noise),
        torch.from_numpy(prediction.knowledge),
    )
    return TargetFindings(
        name=target.name,
        kind=target.head.kind,
        metrics=metrics,
        baseline=number_measures(base, actual, weight),
        interval=level,
        held_out=HeldOut(*(part[shown].tolist() for part in parts)),
        coverage=covered(prediction.distribution, actual, weight),
    )


def units(target: Target, rows: Tensor) -> Tensor:
    """A number's values in the units of the table, float64 (N,)."""
    return cast("NumberHead", target.head).units(target.values[rows])


def _constant(values: Tensor, weight: Tensor, rows: int) -> Predictive:
    """What one would predict knowing the training rows' mean and variance alone."""
    share = weight / weight.sum()
    mean = share @ values
    flat = torch.ones(rows, 1, dtype=torch.float64)
    return Predictive(mean * flat, share @ (values - mean).square() * flat, 0.0 * flat)


def _category(
    target: Target, prediction: CategoryPrediction, test: Tensor, train: Tensor
) -> TargetFindings:
    actual, weight = target.values[test], target.weight[test]
    probabilities = torch.from_numpy(prediction.probabilities)
    classes = target.outputs
    share = torch.bincount(target.values[train], weights=target.weight[train], minlength=classes)
    flat = (share / share.sum()).expand(len(test), classes)
    pairs = actual * classes + probabilities.argmax(1)
    confusion = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return TargetFindings(
        name=target.name,
        kind=target.head.kind,
        metrics=category_measures(probabilities, actual, weight),
        baseline=category_measures(flat, actual, weight),
        classes=list(prediction.classes),
        reliability=reliable(probabilities, actual, weight),
        confusion=confusion.tolist() if classes <= _CLASSES else None,
    )


def _importance(model: TableModel, prepared: Prepared, test: Tensor) -> list[Importance]:
    if len(test) < 2:
        return []
    most = max(50, _SHUFFLED // max(1, max(t.outputs for t in prepared.targets) // 4) ** 2)
    chosen = test if len(test) <= most else test[torch.linspace(0, len(test) - 1, most).long()]
    inputs = {name: value[chosen] for name, value in prepared.inputs.items()}
    targets = [t for t in prepared.targets if bool((t.weight[chosen] > 0).any())]

    def losses(changed: Mapping[str, Tensor]) -> dict[str, float]:
        found = model.predict_encoded(changed)
        return {t.name: _loss(found[t.name], t, chosen) for t in targets}

    seed = model.recipe.training.seed
    return measure_importance(model.schema, inputs, losses, seed=seed) if targets else []


def _loss(prediction: Prediction, target: Target, rows: Tensor) -> float:
    """Mean negative log likelihood, in nats a row."""
    values, weight = target.values[rows], target.weight[rows]
    if isinstance(prediction, NumberPrediction):
        actual = units(target, rows)
        return float(nll(prediction.distribution.log_prob(actual)[:, 0], weight))
    probabilities = torch.from_numpy(cast("CategoryPrediction", prediction).probabilities)
    chosen = probabilities.gather(1, values[:, None])[:, 0]
    return float(nll(chosen.clamp_min(1e-300).log(), weight))


def _known_least(
    table: Table, target: Target, prepared: Prepared, prediction: Prediction
) -> KnownLeast:
    order = np.argsort(-prediction.knowledge, kind="stable")[:_LEAST]
    places = prepared.rows.test[order].tolist()
    (column,) = (c for c in table.schema.targets if c.name == target.name)
    guess = _guess(prediction)
    return KnownLeast(
        target=target.name,
        row=[place + 1 for place in places],
        knowledge=[float(prediction.knowledge[place]) for place in order],
        prediction=[_shown(guess[place]) for place in order],
        actual=[_cell(table, column, place) for place in places],
        values=[{c.name: _cell(table, c, place) for c in table.schema.inputs} for place in places],
    )


def _guess(prediction: Prediction) -> np.ndarray:
    if isinstance(prediction, NumberPrediction):
        return prediction.mean
    return cast("CategoryPrediction", prediction).best


def _cell(table: Table, column: UsableColumn, row: int) -> str:
    values = table.values[column.name]
    return "" if values.missing[row] else column.show(values.data[row])[:60]


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)[:60]
