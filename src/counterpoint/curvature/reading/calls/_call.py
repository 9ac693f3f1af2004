"""What every recorded operation answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from counterpoint.gaussian import FullJacobian, LayerJacobian, LookupJacobian

Entry = LayerJacobian | LookupJacobian | FullJacobian
"""One factored Jacobian."""


@dataclass(frozen=True)
class Arguments:
    """An operation on weights, as it was called.

    Attributes:
        function: the operation.
        args: positional arguments.
        named: keyword arguments.
        result: what it returned.
        weights: identity of a tensor -> name of the weight that is asked for.
        rows: examples in the batch.
        layout: where an earlier pass found the examples; none while that is not known.
        transposed: identity of a transposed weight -> its name.
    """

    function: Callable[..., Any]
    args: Sequence[Any]
    named: Mapping[str, Any]
    result: Tensor
    weights: Mapping[int, str]
    rows: int
    layout: "Layout | None" = None
    transposed: Mapping[int, str] = field(default_factory=dict[int, str])

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by position or by name."""
        return self.args[place] if place < len(self.args) else self.named.get(name, default)

    def weight(self, place: int, name: str) -> str | None:
        """The name of the weight at an argument, if it is one that is asked for."""
        return self.weights.get(id(self.get(place, name)))

    def rows_first(self, value: Tensor, axes: Sequence[int] = (0, 1)) -> Tensor | None:
        """A tensor with the examples as first dimension, or none where they are not to be found.

        The result must have as many examples in the same place.
        """
        place = self.place(axes, value)
        # a map that moves the examples elsewhere would pair rows with the deltas of others
        if place is None or self.result.ndim <= place or self.result.shape[place] != self.rows:
            return None
        return value.movedim(place, 0)

    def place(self, axes: Sequence[int], value: Tensor) -> int | None:
        """Which dimension of a tensor is the examples."""
        # the first dimension that is as long as the batch, unless an earlier pass has settled it
        known = axes if self.layout is None else [self.layout.axis]
        for axis in known:
            if axis in axes and value.ndim > axis and value.shape[axis] == self.rows:
                return axis
        return None

    def turned(self) -> bool:
        """Whether a transposed weight is among the arguments."""
        return any(id(value) in self.transposed for value in [*self.args, *self.named.values()])

    def names(self) -> tuple[str, ...]:
        """The weights among the arguments, in order."""
        values = [*self.args, *self.named.values()]
        return tuple(self.weights[id(value)] for value in values if id(value) in self.weights)


@dataclass(frozen=True)
class Layout:
    """Where an operation has its examples.

    Attributes:
        axis: the dimension of its result.
        batched: places of arguments that have a row an example, where the call says so.
    """

    axis: int
    batched: tuple[int, ...] = ()


class Call(ABC):
    """One use of weights in a forward pass.

    Attributes:
        axis: which dimension of the operation's result is the examples.
        names: the weights it used.
        positions: how often an example uses the weights: 1 without weight sharing.
    """

    axis: int
    names: tuple[str, ...]
    positions: int

    @property
    def layout(self) -> Layout:
        """Where the examples were found."""
        return Layout(self.axis)

    @property
    def map(self) -> tuple[str, ...]:
        """Weight and bias of a linear map, in this order; empty for others."""
        return ()

    @property
    def maps(self) -> int:
        """Groups of a linear map that is given as outer products, weight first; 0 for others."""
        return 0

    @property
    def step(self) -> int | None:
        """Most examples to take at a time, so that copies stay small; none means all."""
        return None

    @abstractmethod
    def kept(self) -> tuple[Tensor, ...]:
        """Tensors of the forward pass that it relies on."""

    @abstractmethod
    def entries(self, rows: slice, deltas: Float[Tensor, "rows columns ..."]) -> list[Entry]:
        """Jacobians of some examples.

        Args:
            rows: which examples.
            deltas: derivatives of each direction by the operation's result, for these examples,
                the result's other dimensions in their order.
        """
