"""One walker on a landscape as a model with named losses, so that a `Balancer` can train it."""

import torch
from torch import Tensor, nn

from counterpoint.landscape._landscape import Landscape


class Walk(nn.Module):
    """A point as the only weight; its losses are the layers there.

    Args:
        landscape: of K layers.
        start: (d,).
    """

    def __init__(self, landscape: Landscape, start: Tensor) -> None:
        super().__init__()
        self.landscape = landscape
        self.point = nn.Parameter(start.clone())

    def forward(self) -> dict[str, Tensor]:
        """Each layer's value here, with the exact gradient."""
        with torch.no_grad():
            here = self.landscape(self.point[None])
        apart = self.point - self.point.detach()
        # value plus <gradient, 0>: what autograd sees is the landscape's own gradient
        losses = here.values[0] + here.gradients[0] @ apart
        return {f"layer {number}": loss for number, loss in enumerate(losses)}
