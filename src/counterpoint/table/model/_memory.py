"""What all rows so far say of one network's weights: the Gaussian under which a trunk may move on.

It is `counterpoint.continual.OnlineEWC` over all targets together, in Kronecker factors for linear
layers (merged, Ritter et al. 2018, section 3.2) and diagonal for embeddings: at a strength of 1,
which is Bayes' rule, it forgot less and learnt more than diagonals of any strength
(docs/decisions.md). A first layer of very many inputs has a diagonal, too: the factor of its inputs
is a square of their number.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from counterpoint.continual import ForgettingWarning, OnlineEWC
from counterpoint.curvature import Structure
from counterpoint.nn import TableNet
from counterpoint.seeding import generator
from counterpoint.storage import unpack_state
from counterpoint.table.fit._prepare import Prepared
from counterpoint.table.model._observed import ObservedTargets, batches, likelihoods

WIDEST = 1024
"""Inputs of a first layer beyond which its curvature is diagonal: a factor is above 4 MB."""

_ROWS = 16_384
"""Most rows whose curvature is computed; where there are more, these stand for all."""

_MERGED = "kronecker-merged"


def remember(
    network: TableNet,
    prepared: Prepared,
    rows: Tensor,
    noise: Mapping[str, float | None],
    *,
    before: OnlineEWC | None = None,
    keep: float = 1.0,
) -> OnlineEWC:
    """What rows say of a network's weights, and what was known before.

    Args:
        network: as trained on the rows; its heads the means of what is believed of them.
        prepared: the table.
        rows: places in it.
        noise: target -> its noise variance, standardised; None where its head has none.
        before: of the earlier rows, left as it is; weights may have grown since, what is new being
            free.
        keep: share of what was known before that stays.
    """
    memory = _empty(keep, _structure(network) if before is None else before.structure)
    if before is not None:
        memory.load_state_dict(before.state_dict())
    network.eval()
    chosen = _drawn(rows)
    # no labels: the exact Fisher information needs none, and the rows of a month may well be of
    # one class, which a task may not
    stands = len(rows) / max(len(chosen), 1)
    data = [
        replace(batch, target=None, weight=None if batch.weight is None else stands * batch.weight)
        for batch in batches(prepared, chosen)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ForgettingWarning)
        memory.consolidate(
            ObservedTargets(network), likelihoods(prepared.schema.heads, noise), data
        )
    return memory


def read_memory(state: Mapping[str, Tensor]) -> OnlineEWC:
    """The memory whose `state_dict` this is.

    Raises:
        InputError: it is not one of these.
    """
    structure = unpack_state(state, "memory")["settings"].get("structure", _MERGED)
    memory = _empty(1.0, structure)
    memory.load_state_dict(state)
    return memory


def _empty(keep: float, structure: Structure) -> OnlineEWC:
    return OnlineEWC(keep=keep, structure=structure, grown=True)


def _structure(network: TableNet) -> Structure:
    if network.inputs <= WIDEST:
        return _MERGED
    name, _ = next(network.trunk.named_children())
    return {f"network.trunk.{name}.*": "diagonal", "*": _MERGED}


def _drawn(rows: Tensor) -> Tensor:
    """At most so many of the rows, by no seed of the fit."""
    if len(rows) <= _ROWS:
        return rows
    chosen = torch.randperm(len(rows), generator=generator(0, 15))[:_ROWS]
    return rows[chosen.sort().values]
