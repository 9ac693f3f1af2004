"""The network of a table: embeddings and encoded numbers, a trunk, one head a target."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.nn._embeddings import Embeddings
from counterpoint.nn._piecewise import PiecewiseLinear
from counterpoint.nn._trunk import ResidualTrunk, plain_trunk


class TableNet(nn.Module):
    """Category codes and standardised numbers to one output a target.

    Args:
        cardinalities: number of codes of each categorical column.
        edges: for each number the edges of its bins, standardised; empty for no bins.
        heads: target name -> number of outputs.
        widths: of each categorical column's embedding; none: by the number of codes.
        hidden: of each categorical column, see `Embeddings`.
        trunk: "plain" or "residual".
        width: units of each layer; also the number of features.
        depth: layers (plain) or blocks (residual).
        dropout: share of units silenced in training.
        activation: of the trunk; a smooth one where its derivatives are trained.

    Raises:
        InputError: there is no input column, or no head.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        edges: Sequence[Sequence[float]],
        heads: Mapping[str, int],
        *,
        widths: Sequence[int] | None = None,
        hidden: Sequence[float] | None = None,
        trunk: str = "plain",
        width: int = 128,
        depth: int = 2,
        dropout: float = 0.0,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        if not cardinalities and not edges:
            raise InputError("a network needs at least one input column, found none")
        if not heads:
            raise InputError("a network needs at least one target, found none")
        self.embeddings = Embeddings(cardinalities, widths, hidden=hidden)
        self.bins = PiecewiseLinear(edges)
        inputs = self.embeddings.width + len(edges) + self.bins.width
        build = ResidualTrunk if trunk == "residual" else plain_trunk
        self.trunk = build(inputs, width, depth, dropout=dropout, activation=activation)
        # targets may have any name, module names may not: heads are stored by position
        self.targets = tuple(heads)
        self.heads = nn.ModuleList(nn.Linear(width, outputs) for outputs in heads.values())

    def encode(
        self, categories: Int[Tensor, "*batch codes"], numbers: Float[Tensor, "*batch numbers"]
    ) -> Float[Tensor, "*batch inputs"]:
        """What the trunk is given: embeddings, numbers and their bins, side by side."""
        return torch.cat([self.embeddings(categories), numbers, self.bins(numbers)], dim=-1)

    def features(
        self, categories: Int[Tensor, "*batch codes"], numbers: Float[Tensor, "*batch numbers"]
    ) -> Float[Tensor, "*batch width"]:
        """What the trunk makes of the inputs; every head is linear in it."""
        return self.trunk(self.encode(categories, numbers))

    def forward(
        self, categories: Int[Tensor, "*batch codes"], numbers: Float[Tensor, "*batch numbers"]
    ) -> dict[str, Tensor]:
        """One tensor (B, outputs) a target."""
        shared = self.features(categories, numbers)
        return {name: head(shared) for name, head in zip(self.targets, self.heads, strict=True)}
