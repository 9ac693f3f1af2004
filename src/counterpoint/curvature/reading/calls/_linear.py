"""Linear maps: ``y = x W' + b``, once an example or at every position of it."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from counterpoint.curvature.reading.calls._call import Arguments, Call, Entry
from counterpoint.gaussian import LayerJacobian


@dataclass(frozen=True)
class Linear(Call):
    """``torch.nn.functional.linear``, and products with the transpose of a weight."""

    axis: int
    names: tuple[str, ...]
    positions: int
    weight: str | None
    bias: str | None
    inputs: Float[Tensor, "rows ... inputs"]

    @classmethod
    def read(cls, arguments: Arguments) -> "Linear | None":
        """From ``linear(input, weight, bias)``; none where examples are not to be found."""
        weight, bias = arguments.weight(1, "weight"), arguments.weight(2, "bias")
        return cls._of(arguments, arguments.get(0, "input"), weight, bias)

    @classmethod
    def read_product(cls, arguments: Arguments) -> "Linear | None":
        """From ``x @ W.T``, ``torch.mm(x, W.T)`` and the like, with the transpose of a weight."""
        if len(arguments.args) != 2:
            return None
        given, weight = arguments.args
        name = arguments.transposed.get(id(weight))
        return None if name is None else cls._of(arguments, given, name, None)

    @classmethod
    def _of(
        cls, arguments: Arguments, given: Tensor, weight: str | None, bias: str | None
    ) -> "Linear | None":
        inputs = arguments.rows_first(given) if given.ndim > 1 else None
        axis = arguments.place((0, 1), given)
        # an input that is a weight itself (a product of two weights) is bilinear, not linear
        if (
            inputs is None
            or axis is None
            or axis >= given.ndim - 1
            or id(given) in arguments.weights
            or id(given) in arguments.transposed
        ):
            return None
        # every dimension between examples and features is a position that shares the weight
        positions = inputs.shape[1:-1].numel()
        names = tuple(name for name in (weight, bias) if name is not None)
        return cls(axis, names, positions, weight, bias, inputs.detach())

    @property
    def map(self) -> tuple[str, ...]:
        """Its weight and, if it has one, its bias."""
        return tuple(name for name in (self.weight, self.bias) if name is not None)

    @property
    def maps(self) -> int:
        """One, when its weight is asked for."""
        return int(self.weight is not None)

    def kept(self) -> tuple[Tensor, ...]:
        """The input."""
        return (self.inputs,)

    def entries(self, rows: slice, deltas: Float[Tensor, "rows columns ..."]) -> list[Entry]:
        """One outer product a position."""
        inputs = self.inputs[rows]
        inputs = inputs.reshape(inputs.shape[0], 1, -1, inputs.shape[-1])
        deltas = deltas.reshape(*deltas.shape[:2], 1, -1, deltas.shape[-1])
        return [LayerJacobian(self.weight, self.bias, inputs.to(deltas.dtype), deltas)]
