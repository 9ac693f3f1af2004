"""Plain gradients by named weights, zero where a weight has no part in the value."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def gradients(
    value: Tensor,
    weights: Mapping[str, Tensor],
    direction: Tensor | None = None,
    *,
    graph: bool = False,
    many: bool = False,
) -> dict[str, Tensor]:
    """The gradient of ``direction · value`` by each weight; the graph is kept.

    Args:
        value: anything with a graph.
        weights: name -> leaf of it.
        direction: of the value's shape; none means one, for a scalar.
        graph: make the result differentiable again.
        many: the direction has a first dimension more: that many at once.
    """
    found: Any = torch.autograd.grad(
        value,
        list(weights.values()),
        direction,
        retain_graph=True,
        create_graph=graph,
        allow_unused=True,
        is_grads_batched=many,
    )
    lead = direction.shape[:1] if many and direction is not None else ()
    return {
        name: weight.new_zeros(*lead, *weight.shape) if part is None else part.to_dense()
        for (name, weight), part in zip(weights.items(), found, strict=True)
    }
