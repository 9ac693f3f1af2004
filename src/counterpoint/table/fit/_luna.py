"""Training a trunk whose features differ where there are no rows: many heads a target, kept apart.

Each target has `heads` auxiliary heads instead of one. All fit the target, and a goal of their own
makes their slopes differ: the squared cosines of their derivatives by the standardised numbers and
the embeddings of the categories, a goal called "diverse". (By the bins of a number, too, heads
could differ along directions in which no row ever moves.) Of a category the logits count without
their mean over the classes: what is added to all of them moves no probability, so heads could
differ in it for nothing.

Slopes are taken along one random direction a row, ``s = v' g`` with ``v ~ N(0, I)`` in units of
standard deviations: as ``E[s_i s_j] = g_i' g_j``, the Gram matrix of the slopes over all rows is
that of the stacked gradients without bias, for the price of one forward pass with tangents however
many columns the table has. The squared cosines made of it are not without bias: chance makes slopes
look more alike than gradients, the less so the more rows a step has. Value and slope are of the
same pass, so of the same dropout. Afterwards the auxiliary heads are dropped; an exact Gaussian on
the last layer then knows little where features that fit alike differ.

Source: Thakur et al., "Uncertainty-Aware (UNA) Bases for Bayesian Regression Using Multi-Headed
Auxiliary Networks" (arXiv 2006.11695).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterpoint.data import Batch
from counterpoint.derivatives import values_and_directional
from counterpoint.goals import Goals, diversity
from counterpoint.nn import TableNet
from counterpoint.table.fit._losses import make_losses, unused_name
from counterpoint.table.fit._prepare import Target

DIVERSE = "diverse"
"""Name of the goal; a target of this name has it with a prime."""


def make_luna_goals(targets: Sequence[Target], train: Tensor, heads: int, weight: float) -> Goals:
    """One goal a target, the mean over its heads of `make_goals`', and "diverse".

    Args:
        targets: what is predicted.
        train: places of the training rows.
        heads: of each target.
        weight: lambda, the factor on the mean squared cosine of a target's heads where each
            target's goal counts one. The plain mean of all goals is, up to a constant, the mean
            over targets of their goals plus lambda times the mean over targets of the cosines,
            however many targets there are, as in `counterpoint.estimators.LunaRegressor`; 0 leaves
            the goal out.
    """
    losses = make_losses(targets, train, copies=heads)
    diverse = unused_name(DIVERSE, targets)

    def goals(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        values, slopes = _passed(model, batch, sloped=weight > 0)
        found = losses(values, batch)
        if weight > 0:
            # K goals and this one are averaged, so their sum here is their mean against the mean
            alike = [
                _alike(target, part.view(-1, heads, target.outputs), batch.get(f"weight.{place}"))
                for place, (target, part) in enumerate(zip(targets, slopes, strict=True))
            ]
            found[diverse] = weight * torch.stack(alike).sum()
        return found

    return goals


def drop_heads(trained: TableNet, network: TableNet, heads: int) -> TableNet:
    """A network with one head a target, each the mean of its auxiliary heads.

    Args:
        trained: with `heads` heads a target.
        network: of the same trunk, to be filled.
        heads: how many.
    """
    state = trained.state_dict()
    own = network.state_dict()
    for name, value in own.items():
        if name.startswith("heads."):
            state[name] = state[name].view(heads, *value.shape).mean(0)
    network.load_state_dict(state)
    return network


def _passed(model: nn.Module, batch: Batch, *, sloped: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs of all heads, target by target, and their slopes along a direction a row."""
    if not isinstance(model, TableNet):
        raise TypeError(f"expected a TableNet, found {type(model).__name__}")
    features, slopes = _features(model, batch, sloped=sloped)
    heads = [head for head in model.heads if isinstance(head, nn.Linear)]
    return [head(features) for head in heads], [
        slopes @ head.weight.T for head in heads
    ] if sloped else []


def _features(model: TableNet, batch: Batch, *, sloped: bool) -> tuple[Tensor, Tensor]:
    """The features, and their slopes along a random direction a row."""
    encoded = model.encode(batch["categories"], batch["numbers"])
    if not sloped:
        return model.trunk(encoded), encoded.new_zeros(0)
    directions = _directions(model, batch["numbers"], encoded.detach())
    # slopes are pushed through layers in a row; a residual trunk is smooth enough for differences
    scheme = "forward-mode" if isinstance(model.trunk, nn.Sequential) else "central"
    return values_and_directional(model.trunk, encoded, directions, scheme)


def _directions(model: TableNet, numbers: Tensor, encoded: Tensor) -> Tensor:
    """How what the trunk is given moves when numbers and embeddings do."""
    # torch's own generator: `fit` seeds it and keeps its state, as it does for dropout
    width = model.embeddings.width
    directions = torch.randn_like(encoded[:, : width + numbers.shape[1]])
    embedded, moved = directions[:, :width], directions[:, width:]
    if width and len(encoded) > 1:
        # one unit is a standard deviation, as it is of numbers
        embedded *= encoded[:, :width].std(0)
    bins = moved[:, model.bins.source] * model.bins.slopes(numbers)
    return torch.cat([embedded, moved, bins], dim=1)


def _alike(target: Target, slopes: Tensor, weight: Tensor | None) -> Tensor:
    """The mean squared cosine of a target's heads, ``(rows, heads, outputs)``."""
    if target.head.likelihood().classes:
        # what is added to all logits moves no probability
        slopes = slopes - slopes.mean(-1, keepdim=True)
    return diversity(slopes, weight)
