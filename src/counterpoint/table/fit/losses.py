"""The goals of a table: one negative log likelihood a target, each row by its weight."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from counterpoint.data import Batch, Tensors
from counterpoint.goals import Categorical, Goals, Normal
from counterpoint.table.fit.prepare import Prepared, Target

__all__ = ["make_goals", "make_source"]


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
        if not _even(target.weight):
            weight = target.weight[rows]
            if like is not None and weight.any():
                weight = weight * (target.weight[like].mean() / weight.mean())
            tensors[f"weight.{place}"] = weight.float()
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
    known = noise or {}
    # the table's cells were checked once; checking every batch again would only cost time
    likelihoods = [
        Categorical(validate=False)
        if target.categorical
        else Normal(known.get(target.name) or 1.0, validate=False)
        for target in targets
    ]
    means = [1.0 if train is None else float(t.weight[train].mean()) for t in targets]

    def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs = model(batch["categories"], batch["numbers"])
        return {
            target.name: likelihood.nll(
                outputs[target.name],
                batch[f"target.{place}"],
                batch.get(f"weight.{place}"),
                mean_weight=mean,
            )
            for place, (target, likelihood, mean) in enumerate(
                zip(targets, likelihoods, means, strict=True)
            )
        }

    return goals


def _even(weight: Tensor) -> bool:
    return bool(torch.all(weight == 1.0))
