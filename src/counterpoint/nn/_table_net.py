"""The network of a table: embeddings and encoded numbers, a trunk, one head a target."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.nn._embeddings import Embeddings
from counterpoint.nn._partial_linear import partial_linear
from counterpoint.nn._piecewise import PiecewiseLinear
from counterpoint.nn._trunk import (
    ResidualTrunk,
    after_first,
    first_layer,
    linear_trunk,
    plain_trunk,
)


class TableNet(nn.Module):
    """Category codes and standardised numbers to one output a target.

    Args:
        cardinalities: number of codes of each categorical column.
        edges: for each number the edges of its bins, standardised; empty for no bins.
        heads: target name -> number of outputs.
        widths: of each categorical column's embedding; none: by the number of codes.
        hidden: of each categorical column, see `Embeddings`.
        trunk: "plain", "residual", or "linear": one linear layer that begins as
            the inputs themselves, without bins.
        width: units of each layer; also the number of features, but of a linear one.
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
        linear = trunk == "linear"
        self.bins = PiecewiseLinear([() for _ in edges] if linear else edges)
        inputs = self.embeddings.width + len(edges) + self.bins.width
        build = ResidualTrunk if trunk == "residual" else plain_trunk
        if linear:
            self.trunk, width = linear_trunk(inputs), inputs
        else:
            self.trunk = build(inputs, width, depth, dropout=dropout, activation=activation)
        # targets may have any name, module names may not: heads are stored by position
        self.targets = tuple(heads)
        self.heads = nn.ModuleList(nn.Linear(width, outputs) for outputs in heads.values())

    @property
    def inputs(self) -> int:
        """How many encoded entries the trunk is given."""
        return next(first_layer(self.trunk).parameters()).shape[-1]

    def encode(
        self, categories: Int[Tensor, "*batch codes"], numbers: Float[Tensor, "*batch numbers"]
    ) -> Float[Tensor, "*batch inputs"]:
        """What the trunk is given: embeddings, numbers and their bins, side by side."""
        return torch.cat([self.embeddings(categories), self._given(numbers)], dim=-1)

    def features(
        self, categories: Int[Tensor, "*batch codes"], numbers: Float[Tensor, "*batch numbers"]
    ) -> Float[Tensor, "*batch width"]:
        """What the trunk makes of the inputs; every head is linear in it."""
        return self.leave(self.enter(categories, numbers))

    def enter(
        self, categories: Int[Tensor, "*batch codes"], numbers: Float[Tensor, "*batch numbers"]
    ) -> Float[Tensor, "*batch width"]:
        """What the trunk's first layer makes of the inputs; `leave` goes on from there."""
        first = first_layer(self.trunk)
        learning = self.training and torch.is_grad_enabled() and not numbers.requires_grad
        # compiled and in mixed precision the whole layer is what torch knows best
        mixed = torch.is_autocast_enabled(numbers.device.type)
        if not learning or mixed or torch.compiler.is_compiling():
            return first(self.encode(categories, numbers))
        # numbers are data: the gradient by them and their bins was a third of the layer's cost
        weight, bias = first.parameters()
        return partial_linear(self.embeddings(categories), self._given(numbers), weight, bias)

    def leave(self, entered: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """The features, from what the trunk's first layer put out."""
        return after_first(self.trunk, entered)

    @torch.no_grad()
    def entered_by(
        self,
        categories: Int[Tensor, "batch codes"],
        numbers: Float[Tensor, "batch numbers"],
        codes: Sequence[int],
        columns: Sequence[int],
    ) -> Float[Tensor, "batch width"]:
        """What some of the inputs add to what the first layer puts out, its bias left out.

        Args:
            categories: codes of all columns.
            numbers: of all columns.
            codes: places of the categories that are meant.
            columns: places of the numbers that are meant.
        """
        parts, places = list[Tensor](), list[Tensor]()
        for code in codes:
            low = sum(table.shape[1] for table in self.embeddings.weights[:code])
            parts.append(self.embeddings.tables[code](categories[:, code]))
            places.append(low + torch.arange(parts[-1].shape[1]))
        bare = self.embeddings.width
        for column in columns:
            entries, own = self.bins.of(numbers, column)
            parts += [numbers[:, column, None], entries]
            places += [torch.tensor([bare + column]), bare + numbers.shape[1] + own]
        weight = next(first_layer(self.trunk).parameters())
        return torch.cat(parts, 1) @ weight[:, torch.cat(places)].T

    def _given(self, numbers: Tensor) -> Tensor:
        return torch.cat([numbers, self.bins(numbers)], dim=-1)

    def forward(
        self, categories: Int[Tensor, "*batch codes"], numbers: Float[Tensor, "*batch numbers"]
    ) -> dict[str, Tensor]:
        """One tensor (B, outputs) a target."""
        shared = self.features(categories, numbers)
        return {name: head(shared) for name, head in zip(self.targets, self.heads, strict=True)}
