"""The number that is differentiated: the plain score by value, the balanced one by gradient."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["modulated", "stacked"]


def modulated(losses: Sequence[Tensor], weights: Float[Tensor, " goals"]) -> Float[Tensor, ""]:
    """F = sg(T) + M - sg(M) with T = mean L_k and M = mean sg(w_k) L_k.

    The value of F is T for every w, bit for bit; its gradient is ``(1/K) sum_k w_k g_k``; w itself
    is not differentiated. Whatever reads the value (a line search, a schedule, early stopping, a
    log) never sees the weights.

    Args:
        losses: K scalars with a graph.
        weights: w, (K,).

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> value = modulated([x, x**2], torch.tensor([1.5, 0.5]))
    >>> value.item(), torch.autograd.grad(value, x)[0].item()  # (3 + 9) / 2, (1.5 + 0.5 * 6) / 2
    (6.0, 2.25)
    """
    values = stacked(losses)
    share = (values * weights.detach().to(values)).mean()
    # a - a is 0 unless it overflows, and then the gradient is not finite either
    return values.detach().mean() + (share - share.detach())


def stacked(losses: Sequence[Tensor]) -> Float[Tensor, " goals"]:
    """The losses as one tensor, (K,), in float32 at least."""
    kinds = {loss.dtype for loss in losses}
    if len(kinds) == 1 and kinds <= {torch.float32, torch.float64}:
        return torch.stack(list(losses))
    kind = torch.float32
    for other in kinds:
        kind = torch.promote_types(kind, other)
    return torch.stack([loss.to(kind) for loss in losses])
