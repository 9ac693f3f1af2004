"""The goals of a table: one negative log likelihood a target, each row by its weight."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from counterpoint.data import Batch, Tensors
from counterpoint.goals import Goals, Heads
from counterpoint.table.fit._prepare import Prepared, Target
from counterpoint.table.model._observed import likelihoods

IMITATE = "imitate"
"""Name of the goal of imitating a teacher; of one of several targets the target's stands behind."""

TargetLosses: TypeAlias = Callable[[Sequence[Tensor], Batch], dict[str, Tensor]]
"""Of the outputs for each target, in order, and a batch of `make_source`: target -> its loss."""


def make_source(prepared: Prepared, rows: Tensor, like: Tensor | None = None) -> Tensors:
    """The inputs, targets and (where they differ) weights of some rows, in memory.

    Args:
        prepared: the table.
        rows: places of the rows.
        like: places of other rows; the weights are brought to the mean that theirs have, so that
            both sources can share one `make_goals`.
    """
    tensors = {name: value[rows] for name, value in prepared.inputs.items()}
    for place, target in enumerate(prepared.targets):
        tensors[f"target.{place}"] = target.values[rows]
        if not is_even(target.weight):
            weight = target.weight[rows]
            if like is not None and weight.any():
                weight = weight * (target.weight[like].mean() / weight.mean())
            tensors[f"weight.{place}"] = weight.float()
        if target.lesson is not None:
            tensors[f"lesson.{place}"] = target.lesson.values[rows]
            tensors[f"heard.{place}"] = shares_of(target.lesson.weight[rows])
    return Tensors(tensors)


def make_goals(
    targets: Sequence[Target], train: Tensor | None, noise: Mapping[str, float | None] | None = None
) -> Goals:
    """One goal a target: the mean negative log likelihood in nats a row.

    A number is Gaussian around the output with unit noise on the standardised scale (the noise
    itself is found afterwards, by the evidence of the last layer) or with the one that is known; a
    category is categorical.
    Rows without a value weigh nothing; weights are divided by their mean over the training rows.

    Args:
        targets: what is predicted.
        train: places of the training rows; none: weights are counts, and every goal is their sum
            over the number of rows, so that goals add like the evidence that they are.
        noise: target -> noise variance of a number, standardised, where it is known.
    """
    losses = make_losses(targets, train, noise)

    def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs = model(batch["categories"], batch["numbers"])
        return losses([outputs[target.name] for target in targets], batch)

    return goals


def make_losses(
    targets: Sequence[Target],
    train: Tensor | None,
    noise: Mapping[str, float | None] | None = None,
    copies: int = 1,
) -> TargetLosses:
    """What `make_goals` minimises, of outputs; of several copies of a target's, their mean.

    Args:
        targets: as in `make_goals`.
        train: as in `make_goals`.
        noise: as in `make_goals`.
        copies: outputs of a target are ``(rows, copies * its outputs)``.
    """
    heads = Heads(likelihoods({target.name: target.head for target in targets}, noise or {}))
    means = [1.0 if train is None else float(t.weight[train].mean()) for t in targets]
    mean_weights = dict(zip(heads.likelihoods, means, strict=True))

    def losses(outputs: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        each: dict[str, Tensor] = {}
        observed: dict[str, Tensor] = {}
        weights: dict[str, Tensor | None] = {}
        for place, output, target in zip(heads.likelihoods, outputs, targets, strict=True):
            # a copy is a row of its own; without copies nothing is copied
            each[place] = output.view(-1, target.outputs)
            observed[place] = _repeated(batch[f"target.{place}"], copies)
            weight = batch.get(f"weight.{place}")
            weights[place] = None if weight is None else _repeated(weight, copies)
        found = heads.losses(each, observed, weights, mean_weights)
        names = goal_names(targets)
        named = dict(zip(names, found.values(), strict=False))
        for place, target in zip(heads.likelihoods, targets, strict=True):
            if target.lesson is not None:
                taught = _repeated(batch[f"lesson.{place}"], copies)
                heard = _repeated(batch[f"heard.{place}"], copies)
                cost = target.head.imitation(each[place], taught)
                named[imitation_name(target, targets)] = (cost * heard).mean()
        return named

    return losses


def unused_name(name: str, targets: Sequence[Target]) -> str:
    """The name of a goal of ours, primed until no target is called so."""
    taken = {target.name for target in targets}
    while name in taken:
        name += "'"
    return name


def imitation_name(target: Target, targets: Sequence[Target]) -> str:
    """What the goal of imitating a target's teacher is called."""
    name = IMITATE if len(targets) == 1 else f"{IMITATE} {target.name}"
    return unused_name(name, targets)


def goal_names(targets: Sequence[Target]) -> list[str]:
    """The goals of `make_losses`: the targets, then what is imitated."""
    taught = [target for target in targets if target.lesson is not None]
    # "score" is what a run calls the mean of its goals, and what many tables call a column
    names = [unused_name(t.name, targets) if t.name == "score" else t.name for t in targets]
    return names + [imitation_name(target, targets) for target in taught]


def shares_of(weight: Tensor) -> Tensor:
    """Weights of mean one, float32; zeros where they are all zero."""
    return (weight / weight.mean().clamp_min(torch.finfo(weight.dtype).tiny)).float()


def _repeated(rows: Tensor, copies: int) -> Tensor:
    return rows if copies == 1 else rows.repeat_interleave(copies, 0)


def is_even(weight: Tensor) -> bool:
    """Whether every row counts one."""
    return bool(torch.all(weight == 1.0))
