"""A table's network and rows as the curvature rooms take them: all targets at once, some missing.

The curvature of all weights is of all targets together, and a row may lack some of them.
`ObservedTargets` gives a network outputs that are zero, whatever the weights, where a target has no
value, so that such a row says nothing through it while it speaks through the others.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from counterpoint.data import Batch
from counterpoint.goals import Likelihood
from counterpoint.nn import TableNet
from counterpoint.table.fit._prepare import Prepared, Target
from counterpoint.table.targets._head import Head

_ROWS = 1024
_FAR = 1e3
"""Deviations from the mean beyond which all is as far: one cell must not be the whole curvature."""


class ObservedTargets(nn.Module):
    """A network whose output is zero where a target has no value.

    Args:
        network: whose weights are meant.
    """

    def __init__(self, network: TableNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, categories: Tensor, numbers: Tensor, known: Tensor) -> dict[str, Tensor]:
        """Outputs by the target's place: names of heads may be empty in a table, not here."""
        outputs = self.network(categories, numbers)
        return {
            str(place): output * known[:, place, None]
            for place, output in enumerate(outputs.values())
        }


def likelihoods(
    heads: Mapping[str, Head], noise: Mapping[str, float | None]
) -> dict[str, Likelihood]:
    """The likelihood of each target, by its place.

    Args:
        heads: of each target.
        noise: target -> its noise variance, standardised, where its head has one.
    """
    pairs = enumerate(heads.items())
    return {str(place): head.likelihood(noise.get(name)) for place, (name, head) in pairs}


def batches(prepared: Prepared, rows: Tensor, shares: Tensor | None = None) -> list[Batch]:
    """Rows of a table for `ObservedTargets` and `likelihoods`, those that weigh nothing left out.

    Args:
        prepared: the table.
        rows: places of the rows.
        shares: by which each one's weight is multiplied.
    """
    weight = prepared.weight[rows] if shares is None else prepared.weight[rows] * shares
    chosen = rows[weight > 0]
    return [
        _batch(prepared, places, part)
        for places, part in zip(chosen.split(_ROWS), weight[weight > 0].split(_ROWS), strict=True)
    ]


def _batch(prepared: Prepared, rows: Tensor, weight: Tensor) -> Batch:
    known = torch.stack([target.weight[rows] > 0 for target in prepared.targets], 1)
    return Batch.of(
        prepared.inputs["categories"][rows],
        prepared.inputs["numbers"][rows].clamp(-_FAR, _FAR),
        known.float(),
        target=_targets(prepared.targets, rows),
        weight=weight.float(),
    )


def _targets(targets: Sequence[Target], rows: Tensor) -> dict[str, Tensor]:
    found = dict[str, Tensor]()
    for place, target in enumerate(targets):
        values, used = target.values[rows], target.weight[rows] > 0
        found[str(place)] = values * used.view(-1, *(1 for _ in values.shape[1:]))
    return found
