"""Where a source that has computed gradients may add them to `.grad` itself, and how."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.nn.parallel import DataParallel, DistributedDataParallel

from counterpoint.balance.sources._source import StepContext


def plain(context: StepContext, leaves: Sequence[Tensor]) -> bool:
    """Whether nothing but `.grad` depends on what a backward pass does to some leaves."""
    wrapped = isinstance(context.model, DistributedDataParallel | DataParallel)
    if context.ranks.count > 1 or wrapped or context.options.backward is not None:
        return False
    # hooks would not see a sum that is written past them, and a shard is a part of its weight
    return not any(
        leaf._backward_hooks
        or getattr(leaf, "_post_accumulate_grad_hooks", None)
        or hasattr(leaf, "to_local")
        for leaf in leaves
    )


def hooked(edge: GradientEdge) -> bool:
    """Whether a hook changes a gradient that arrives at a value."""
    differentiate: Any = torch.autograd.grad  # its annotations do not know mixed sequences
    value = getattr(edge.node, "_input_metadata")[edge.output_nr]  # noqa: B009
    # found out by sending one there: torch does not list the hooks of a value inside a graph
    sent = torch.ones(value.shape, dtype=value.dtype, device=value.device)
    found = differentiate([edge], [edge], grad_outputs=[sent], retain_graph=True)[0]
    return not torch.equal(found, sent)


def add(leaf: Tensor, parts: Sequence[Tensor]) -> None:
    """Add a sum of gradients to a leaf's `.grad`, without recording a graph."""
    if not parts:
        return
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    if total.dtype != leaf.dtype:
        total = total.to(leaf.dtype)
    if leaf.grad is None:
        leaf.grad = total
    elif leaf.grad.is_sparse or total.is_sparse:
        leaf.grad = leaf.grad + total
    else:
        leaf.grad.add_(total)  # whoever holds the tensor goes on seeing it
