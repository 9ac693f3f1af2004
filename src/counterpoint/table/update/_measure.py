"""What an update forgot of earlier rows, and what it learnt of its own."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from counterpoint.table.columns import UsableColumn
from counterpoint.table.evaluate._evaluate import units
from counterpoint.table.evaluate._measures import finite
from counterpoint.table.fit._prepare import Target
from counterpoint.table.model._exemplars import Exemplars
from counterpoint.table.model._model import Member, TableModel
from counterpoint.table.model._observed import ObservedTargets
from counterpoint.table.targets._prediction import Prediction
from counterpoint.table.uncertainty import LastLayers
from counterpoint.table.uncertainty._layers import LAYERS, Pairs


def measure(
    target: Target, rows: Tensor, prediction: Prediction, outputs: int
) -> dict[str, float | None]:
    """How good predictions of some rows are; rows without a value, or of later classes, aside.

    Args:
        target: what is predicted, in whose units it is said.
        rows: places that were predicted, in the order of the prediction.
        prediction: of them.
        outputs: of the network before the update.
    """
    known = target.head.expressible(target.values[rows], outputs) & (target.weight[rows] > 0)
    if not known.any():
        return {}
    actual = units(target, rows[known])
    return prediction.rows(known).measures(actual, target.weight[rows[known]])


def paired(before: Mapping[str, float | None], after: Mapping[str, float | None] | None) -> Pairs:
    """Two sets of measures side by side; without the second, None after."""
    later = after or {}
    return {name: (value, later.get(name)) for name, value in before.items()}


def recognised(target: Target, rows: Tensor, prediction: Prediction, known: int) -> float | None:
    """The share of rows of new classes whose class is the most probable.

    Args:
        target: a category.
        rows: places that were predicted.
        prediction: of them.
        known: number of classes before.
    """
    values = target.values[rows]
    fresh = ~target.head.expressible(values, known) & (target.weight[rows] > 0)
    if not fresh.any():
        return None
    even = torch.ones(int(fresh.sum()), dtype=torch.float64)
    return prediction.rows(fresh).measures(values[fresh], even)["accuracy"]


def forgotten(before: TableModel, after: TableModel, place: int) -> tuple[str, int, Pairs]:
    """What an update lost of the earlier rows.

    Exemplars tell it best. Without them, of a number's head on a trunk that never moved the
    earlier rows' sums of squares tell it exactly, the mean of the members; otherwise a Gaussian
    estimates the loss that was added.

    Args:
        before: the model before the update.
        after: the model after it.
        place: of the target among all.

    Returns:
        The source, the number of earlier rows, and the measures.
    """
    column, members = before.schema.targets[place], after.members
    if before.exemplars is not None:
        return "kept rows", *_on_kept(before, after, before.exemplars, place)
    # sums of squares are of the features that rows had when they came
    same = not any(learnt.how == "deep update" for learnt in before.history) and all(
        same_trunk(old, new) for old, new in zip(before.members, members, strict=True)
    )
    rows = _rows(before, column)
    posteriors = [
        (old.posterior, new.posterior) for old, new in zip(before.members, members, strict=True)
    ]
    layers = [
        (list(old.posteriors.values())[place], list(new.posteriors.values())[place])
        for old, new in posteriors
        if isinstance(old, LastLayers) and isinstance(new, LastLayers)
    ]
    if same and layers:
        source, pairs = LAYERS[column.head.kind].forgot(column.head, layers, rows)
        return source, rows, pairs
    lost = [_energy(old, new) for old, new in zip(before.members, members, strict=True)]
    added = float(np.mean(lost)) / max(rows, 1)
    whose = "" if same or len(before.schema.targets) == 1 else " by all targets together"
    return "Gaussian", rows, {f"loss added{whose}, nats a row": (0.0, finite(added))}


def _on_kept(
    before: TableModel, after: TableModel, kept: Exemplars, place: int
) -> tuple[int, Pairs]:
    target = kept.prepared(before.schema).targets[place]
    rows = torch.arange(len(kept.stands))
    found = [
        measure(target, rows, model.predict_encoded(kept.inputs)[target.name], target.outputs)
        for model in (before, after)
    ]
    return int((target.weight > 0).sum()), paired(*found)


def _rows(model: TableModel, column: UsableColumn) -> int:
    if model.counts is None:
        return 0
    return round(model.counts.columns[column.name].known)


def same_trunk(old: Member, new: Member) -> bool:
    """Whether an update left a network's trunk as it was."""
    weights = new.network.trunk.state_dict()
    return all(torch.equal(v, weights[n]) for n, v in old.network.trunk.state_dict().items())


def _energy(old: Member, new: Member) -> float:
    if old.memory is None:
        return float("nan")
    return float(old.memory.value(ObservedTargets(new.network), rows=1))
