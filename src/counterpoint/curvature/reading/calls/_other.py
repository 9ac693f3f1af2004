"""Any other operation with the examples as first dimension, through `torch.func`."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.curvature.reading.calls._call import Arguments, Call, Entry, Layout
from counterpoint.gaussian import FullJacobian


@dataclass(frozen=True)
class Other(Call):
    """One operation, differentiated an example at a time: scales, offsets, transposed convolutions.

    Attributes:
        function: the operation of an example's inputs and the weights.
        inputs: the tensors among its arguments that have a row an example.
        weights: name -> weight.
        batched: places of these tensors among the arguments.
    """

    axis: int
    names: tuple[str, ...]
    positions: int
    function: Callable[[tuple[Tensor, ...], dict[str, Tensor]], Tensor]
    inputs: tuple[Tensor, ...]
    weights: dict[str, Tensor]
    batched: tuple[int, ...]

    @classmethod
    def read(cls, arguments: Arguments) -> "Other | None":
        """From any arguments; none where a row of the result cannot be told to be an example."""
        layout = arguments.layout
        if arguments.result.shape[:1] != (arguments.rows,) or (layout and layout.axis == 1):
            return None
        given = [*arguments.args, *arguments.named.values()]
        # tensors in containers could be examples or weights; nothing says which
        if any(isinstance(value, list | tuple | dict) and _holds(value) for value in given):
            return None
        weights = {
            arguments.weights[id(value)]: value.detach()
            for value in given
            if id(value) in arguments.weights
        }
        batched = [place for place, value in enumerate(given) if _is_batched(arguments, value)]
        if layout is not None:
            if not set(layout.batched) <= set(batched):
                return None
            batched = list(layout.batched)
        if not batched:
            return None
        positional, keys = len(arguments.args), list(arguments.named)

        def function(inputs: tuple[Tensor, ...], weights: dict[str, Tensor]) -> Tensor:
            filled = [
                weights[arguments.weights[id(v)]] if id(v) in arguments.weights else v
                for v in given
            ]
            for place, value in zip(batched, inputs, strict=True):
                # one example, as a batch of one: the operation may need the dimension
                filled[place] = value[None]
            named = dict(zip(keys, filled[positional:], strict=True))
            return arguments.function(*filled[:positional], **named)[0]

        inputs = tuple(given[place].detach() for place in batched)
        return cls(0, arguments.names(), 2, function, inputs, weights, tuple(batched))

    @property
    def layout(self) -> Layout:
        """Which arguments have a row an example."""
        return Layout(0, self.batched)

    def kept(self) -> tuple[Tensor, ...]:
        """The inputs."""
        return self.inputs

    def entries(self, rows: slice, deltas: Float[Tensor, "rows columns ..."]) -> list[Entry]:
        """One gradient an example and direction."""
        count = deltas.shape[1]

        def pair(inputs: tuple[Tensor, ...], delta: Tensor) -> dict[str, Tensor]:
            result, pull = cast(
                "tuple[Tensor, Any]",
                torch.func.vjp(lambda own: self.function(inputs, own), self.weights),
            )
            return pull(delta.to(result.dtype))[0]

        # pairs of example and direction side by side: some derivatives fail in nested vmaps
        inputs = tuple(value[rows].repeat_interleave(count, 0) for value in self.inputs)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")
            found = torch.vmap(pair)(inputs, deltas.flatten(0, 1))
        return [
            FullJacobian(name, value.unflatten(0, (-1, count)).to(deltas.dtype))
            for name, value in found.items()
        ]


def _holds(value: Any) -> bool:
    """Whether tensors are inside."""
    inside = value.values() if isinstance(value, dict) else value
    return any(isinstance(part, Tensor) for part in inside)


def _is_batched(arguments: Arguments, value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and id(value) not in arguments.weights
        and not isinstance(value, torch.nn.Parameter)
        and value.shape[:1] == (arguments.rows,)
    )
