"""When a source that has computed gradients may put them into `.grad` itself."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.nn.parallel import DataParallel, DistributedDataParallel

from counterpoint.balance.sources.source import Scene

__all__ = ["hooked", "plain"]


def plain(scene: Scene, leaves: Sequence[Tensor]) -> bool:
    """Whether nothing but `.grad` depends on what a backward pass does to some leaves.

    Not with other ranks, wrappers, sharded weights, hooks of the leaves, or somebody else's way
    to go backward.
    """
    wrapped = isinstance(scene.model, DistributedDataParallel | DataParallel)
    if scene.ranks.count > 1 or wrapped or scene.backward is not None:
        return False
    return not any(
        leaf._backward_hooks
        or getattr(leaf, "_post_accumulate_grad_hooks", None)
        or hasattr(leaf, "to_local")
        for leaf in leaves
    )


def hooked(edge: GradientEdge) -> bool:
    """Whether a hook changes a gradient that arrives at a value; found out by sending one there.

    torch does not list the hooks of a value inside a graph.
    """
    differentiate: Any = torch.autograd.grad  # its annotations do not know mixed sequences
    value = getattr(edge.node, "_input_metadata")[edge.output_nr]  # noqa: B009
    sent = torch.ones(value.shape, dtype=value.dtype, device=value.device)
    found = differentiate([edge], [edge], grad_outputs=[sent], retain_graph=True)[0]
    return not torch.equal(found, sent)
