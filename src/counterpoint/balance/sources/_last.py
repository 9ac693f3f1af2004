"""The layer nearest to the losses that every goal depends on."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from counterpoint.balance._graph import Graph, trace
from counterpoint.balance.sources._buffers import Buffers, recomputes
from counterpoint.balance.sources._source import StepContext, once_only
from counterpoint.errors import InputError


def last_layer(context: StepContext) -> tuple[str, list[Tensor]]:
    """The module whose weights are used last among those that all goals reach.

    Where GradNorm (Chen et al., ICML 2018) measures, and the adaptive weight of VQGAN.

    Returns:
        The module's name and its weights that all goals reach.

    Raises:
        InputError: no weight of the model is reached by all goals.
    """
    graph = Graph(trace(context.losses), len(context.losses))
    below = graph.consumers()
    reached = {
        id(leaf): node
        for node, leaf in graph.leaves().items()
        if graph.reach[node] == graph.everyone
    }
    found: list[tuple[int, str, list[Tensor]]] = []
    for name, module in context.model.named_modules():
        own: list[Tensor] = [p for p in module.parameters(recurse=False) if id(p) in reached]
        if own and not isinstance(module, nn.ModuleList):
            when = max(_last_use(reached[id(p)], below) for p in own)
            found.append((when, name or "the model itself", own))
    if not found:
        raise InputError(
            "gram='last': no weight of the model is reached by all goals; use gram='parameters'"
        )
    # behind values that are put side by side the graph leads every goal to every head: look
    counts: dict[int, tuple[str, list[Tensor]]] = {}
    buffers = Buffers(context.model if recomputes(graph.nodes) else None)
    for _, name, own in sorted(found, key=lambda one: -one[0]):
        try:
            with buffers.passing():
                pulling = sum(_pulls(loss, own) for loss in context.losses)
        except RuntimeError as error:
            raise once_only(error) from error
        counts.setdefault(pulling, (name, own))
        if pulling == len(context.losses):
            break
    return counts[max(counts)]


def _pulls(loss: Tensor, weights: Sequence[Tensor]) -> bool:
    differentiate: Any = torch.autograd.grad  # with allow_unused it also gives None
    rows = differentiate(loss, list(weights), retain_graph=True, allow_unused=True)
    return any(bool(row.to_dense().ne(0).any()) for row in rows if row is not None)


def _last_use(leaf: Node, below: dict[Node, list[tuple[Node, int]]]) -> int:
    """The sequence number of the last operation that used a weight (through casts and turns)."""
    queue, best = [leaf], -1
    while queue:
        for user, _ in below[queue.pop()]:
            if user.name() in ("TBackward0", "ToCopyBackward0", "PermuteBackward0"):
                queue.append(user)
            else:
                best = max(best, int(user._sequence_nr()))  # pyright: ignore[reportPrivateUsage]
    return best
