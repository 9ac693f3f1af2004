"""Adding gradients where an optimiser finds them."""

from collections.abc import Sequence

from torch import Tensor

__all__ = ["add"]


def add(leaf: Tensor, parts: Sequence[Tensor]) -> None:
    """Add a sum of gradients to a leaf's `.grad`, as a backward pass would; nothing if empty.

    Call it without recording a graph.
    """
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
