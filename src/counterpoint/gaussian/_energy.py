"""Half the squared distance from a mean in a precision's metric, in one fused pass."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

Metric: TypeAlias = Callable[[tuple[Tensor, ...]], tuple[Tensor, tuple[Tensor, ...]]]
"""From parameters, ``1/2 (θ - μ)' P (θ - μ)`` and its gradient ``P (θ - μ)`` for each of them."""


class Energy(torch.autograd.Function):
    """The energy with its gradient saved: the product with the precision is made once a step.

    In reverse mode of any order (where a graph of the gradient is asked for, it is made anew with
    one), and in forward mode.
    """

    @staticmethod
    def forward(metric: Metric, *parameters: Tensor) -> tuple[Tensor, ...]:
        """The energy, and the gradients as outputs that have no derivative."""
        energy, gradients = metric(parameters)
        return (energy, *gradients)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the gradients."""
        ctx.metric = inputs[0]
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs[1:], *output[1:])
        ctx.save_for_forward(*output[1:])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """``scale P (θ - μ)``."""
        half = len(ctx.saved_tensors) // 2
        parameters, gradients = ctx.saved_tensors[:half], ctx.saved_tensors[half:]
        # create_graph=True: the saved gradients have none, so they are made again with one
        if torch.is_grad_enabled():
            _, gradients = ctx.metric(parameters)
        pairs = zip(gradients, ctx.needs_input_grad[1:], strict=True)
        scale = grad_outputs[0]
        return (None, *(value * scale if needed else None for value, needed in pairs))

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """``<P (θ - μ), tangent>``."""
        tangents = grad_inputs[1:]
        # forward mode saved the gradients alone: the directional derivative is their inner product
        pairs = zip(ctx.saved_tensors, tangents, strict=True)
        parts = [(value * tangent).sum() for value, tangent in pairs if tangent is not None]
        return (torch.stack(parts).sum(), *(None for _ in tangents))
