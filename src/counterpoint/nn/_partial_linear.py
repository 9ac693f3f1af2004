"""A linear layer of which only the first inputs ask for a gradient."""

from typing import Any

import torch
from torch import Tensor


def partial_linear(learnt: Tensor, given: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``[learnt, given] W' + b`` whose gradient by `given` is never computed.

    Args:
        learnt: ``(*nets, rows, first)``, what has a gradient.
        given: ``(*nets, rows, rest)``, what is data.
        weight: ``(*nets, out, first + rest)``.
        bias: ``(*nets, out)``.

    >>> one = torch.ones(1, 1, requires_grad=True)
    >>> partial_linear(one, 2 * torch.ones(1, 1), torch.tensor([[3.0, 4.0]]), torch.zeros(1)).item()
    11.0
    """
    with torch.no_grad():
        x = torch.cat([learnt, given], -1)
    apply: Any = _PartialLinear.apply
    return apply(learnt, x, weight, bias)


class _PartialLinear(torch.autograd.Function):
    """Slices of the weight would do, too: but their gradients are filled up with zeros, and added.

    Four networks of 500 inputs took 0.70 of the whole layer's time so, and 0.76 with slices; 0.57
    and 0.87 at 32 rows (docs/decisions.md).
    """

    # torch declares both as functions of anything
    @staticmethod
    def forward(learnt: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        del learnt  # is in x, where nothing asks for its gradient
        return (x @ weight.mT).add_(bias.unsqueeze(-2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        del output
        learnt, x, weight, _ = inputs
        ctx.save_for_backward(x, weight)
        ctx.learnt = learnt.shape[-1]

    @staticmethod
    def backward(ctx: Any, *deltas: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (delta,) = deltas
        return delta @ weight[..., : ctx.learnt], None, delta.mT @ x, delta.sum(-2)
