"""Multilayer perceptrons, plain and residual."""

from collections.abc import Callable
from itertools import islice

from jaxtyping import Float
from torch import Tensor, nn


def plain_trunk(
    inputs: int,
    width: int,
    depth: int,
    *,
    dropout: float = 0.0,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """`depth` times linear, activation, dropout; maps (B, inputs) to (B, width)."""
    layers: list[nn.Module] = []
    for place in range(depth):
        layers += [nn.Linear(inputs if place == 0 else width, width), activation()]
        if dropout > 0.0:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def linear_trunk(inputs: int) -> nn.Sequential:
    """A linear layer whose features are the inputs until it is trained.

    Args:
        inputs: number of inputs, and of features.
    """
    layer = nn.Linear(inputs, inputs)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer)


class ResidualTrunk(nn.Module):
    """A linear layer, then `depth` blocks ``x + dropout(W2 act(W1 norm(x)))``, then norm and act.

    Source: the ResNet of Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data"
    (arXiv 2106.11959), section 3.2, with layer normalisation in place of batch normalisation, so
    that a prediction does not depend on the other rows of a batch.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        depth: int,
        *,
        dropout: float = 0.0,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                # before the first layer, not after the sum: the way past the blocks stays linear
                nn.LayerNorm(width),
                nn.Linear(width, width),
                activation(),
                nn.Linear(width, width),
                nn.Dropout(dropout),
            )
            for _ in range(depth)
        )
        # the sum of blocks grows with depth; the heads and their Gaussian want one scale
        self.last = nn.Sequential(nn.LayerNorm(width), activation())

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch width"]:
        """Map inputs to features."""
        return self.after(self.first(x))

    def after(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """All but the first layer."""
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


def first_layer(trunk: nn.Module) -> nn.Module:
    """The layer that reads the inputs."""
    return next(iter(trunk.children()))


def after_first(trunk: nn.Module, x: Tensor) -> Tensor:
    """What the rest of a trunk makes of what its first layer put out."""
    if isinstance(trunk, ResidualTrunk):
        return trunk.after(x)
    for layer in islice(trunk.children(), 1, None):
        x = layer(x)
    return x
