"""Independent weights: one precision each, or one for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.gaussian._jacobian import Jacobian, grams
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._vectors import (
    Shift,
    chosen,
    flat,
    number,
    padded,
    positive,
    returned,
    scalar,
    spread,
    uniform,
)
from counterpoint.storage import JSONValue


@dataclass(frozen=True, eq=False)
class Diagonal(Precision):
    """``P = diag(values)``.

    >>> Diagonal({"w": torch.tensor([1.0, 4.0])}).variances()
    {'w': tensor([1.0000, 0.2500])}

    Attributes:
        values: name -> the precision of each weight.
        shapes: of the values.
    """

    values: dict[str, Tensor]
    shapes: dict[str, torch.Size] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", {name: v.shape for name, v in self.values.items()})

    @property
    def like(self) -> Tensor:
        """The first value."""
        return next(iter(self.values.values()))

    def scaled(self, factor: float | Tensor) -> "Diagonal":
        """``factor P``."""
        return Diagonal({name: value * factor for name, value in self.values.items()})

    def shift(self, by: Shift) -> "Diagonal":
        """``P + diag(by)``."""
        full = spread(by, self.shapes, self.like)
        return Diagonal({name: value + full[name] for name, value in self.values.items()})

    def mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``values * v``."""
        return returned({n: value * vector[n] for n, value in self.values.items()}, vector)

    def solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``v / values``."""
        return returned({n: vector[n] / value for n, value in self._positive.items()}, vector)

    def root_mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``sqrt(values) * v``."""
        roots = {name: value.sqrt() for name, value in self._positive.items()}
        return returned({name: root * vector[name] for name, root in roots.items()}, vector)

    def root_solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``v / sqrt(values)``."""
        roots = {name: value.sqrt() for name, value in self._positive.items()}
        return returned({name: vector[name] / root for name, root in roots.items()}, vector)

    def logdet(self) -> Float[Tensor, ""]:
        """``Σ log values``."""
        # one sum in float64: millions of logarithms in float32 lose the digits that evidence needs
        return flat(self._positive, self.shapes).double().log().sum()

    def pull(self, jacobian: Jacobian) -> Float[Tensor, "rows columns columns"]:
        """``J diag(1/values) J'``."""
        return grams(jacobian, self._inverse)

    def diagonal(self) -> dict[str, Tensor]:
        """The values."""
        return dict(self.values)

    def variances(self) -> dict[str, Tensor]:
        """``1 / values``."""
        return dict(self._inverse)

    def dense(self) -> Float[Tensor, "total total"]:
        """``diag(values)``."""
        return self.vector.diag()

    def least(self) -> float:
        """The least value."""
        return float(self.vector.detach().min())

    def restrict(self, names: Sequence[str]) -> "Diagonal":
        """The values of `names`."""
        return Diagonal({name: self.values[name] for name in chosen(names, self.shapes)})

    def marginal(self, names: Sequence[str]) -> "Diagonal":
        """The same: weights are independent."""
        return self.restrict(names)

    def widened(self, shapes: Mapping[str, torch.Size]) -> "Diagonal":
        """Values of zero for what is new."""
        return Diagonal(padded(self.values, shapes))

    def fewer(self, share: float) -> "Diagonal":
        """``share P``."""
        return self.scaled(share)

    @property
    def independent(self) -> dict[str, Tensor]:
        """The values."""
        return self.values

    def double(self) -> "Diagonal":
        """The values in float64."""
        return Diagonal({name: value.double() for name, value in self.values.items()})

    def tensors(self) -> dict[str, Tensor]:
        """The values, by name."""
        return dict(self.values)

    def spec(self) -> JSONValue:
        """Kind and names."""
        return {"kind": "diagonal", "names": list(self.values)}

    @cached_property
    def vector(self) -> Float[Tensor, " total"]:
        """The values as one flat vector, made once."""
        return flat(self.values, self.shapes)

    @cached_property
    def _inverse(self) -> dict[str, Tensor]:
        # without a graph, because it outlives one backward pass
        return {name: 1 / value.detach() for name, value in self._positive.items()}

    @cached_property
    def _positive(self) -> dict[str, Tensor]:
        positive(self.least(), f"diagonal precision of {_named(self.shapes)}")
        return self.values


@dataclass(frozen=True, eq=False)
class Isotropic(Precision):
    """``P = value I``.

    >>> Isotropic(4.0, {"w": torch.Size([2])}).solve({"w": torch.tensor([2.0, 8.0])})
    {'w': tensor([0.5000, 2.0000])}

    Attributes:
        value: one number, kept as a 0-d tensor (float64 if it was a float).
        shapes: the weights' names and shapes.
    """

    value: float | Tensor
    shapes: dict[str, torch.Size]

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", scalar(self.value))

    @property
    def like(self) -> Float[Tensor, ""]:
        """The value."""
        return scalar(self.value)

    def scaled(self, factor: float | Tensor) -> "Isotropic":
        """``factor P``."""
        return Isotropic(self.value * factor, self.shapes)

    def shift(self, by: Shift) -> "Isotropic | Diagonal":
        """Isotropic for one number, else diagonal."""
        one = uniform(by, self.shapes)
        if one is not None:
            return Isotropic(self.value + one, self.shapes)
        return Diagonal(self.diagonal()).shift(by)

    def mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``value v``."""
        return returned({name: self.value * vector[name] for name in self.shapes}, vector)

    def solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``v / value``."""
        return returned({name: vector[name] / self._positive for name in self.shapes}, vector)

    def root_mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``sqrt(value) v``."""
        root = self._positive.sqrt()
        return returned({name: root * vector[name] for name in self.shapes}, vector)

    def root_solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``v / sqrt(value)``."""
        root = self._positive.sqrt()
        return returned({name: vector[name] / root for name in self.shapes}, vector)

    def logdet(self) -> Float[Tensor, ""]:
        """``total log(value)``."""
        return self._positive.double().log() * self.total

    def pull(self, jacobian: Jacobian) -> Float[Tensor, "rows columns columns"]:
        """``J J' / value``."""
        return grams(jacobian, self.variances())

    def diagonal(self) -> dict[str, Tensor]:
        """The value everywhere."""
        return {name: self.like.expand(shape) for name, shape in self.shapes.items()}

    def variances(self) -> dict[str, Tensor]:
        """``1 / value`` everywhere."""
        return {name: (1 / self._positive).expand(shape) for name, shape in self.shapes.items()}

    def dense(self) -> Float[Tensor, "total total"]:
        """``value I``."""
        return self.value * torch.eye(self.total, dtype=self.like.dtype, device=self.like.device)

    def least(self) -> float:
        """The value."""
        return number(self.value)

    def restrict(self, names: Sequence[str]) -> "Isotropic":
        """The same value for `names`."""
        return Isotropic(self.value, chosen(names, self.shapes))

    def marginal(self, names: Sequence[str]) -> "Isotropic":
        """The same: weights are independent."""
        return self.restrict(names)

    def widened(self, shapes: Mapping[str, torch.Size]) -> "Isotropic | Diagonal":
        """Diagonal where anything is new."""
        return self if shapes == self.shapes else Diagonal(padded(self.diagonal(), shapes))

    def fewer(self, share: float) -> "Isotropic":
        """``share P``."""
        return self.scaled(share)

    @property
    def independent(self) -> dict[str, Tensor]:
        """The value everywhere."""
        return self.diagonal()

    def double(self) -> "Isotropic":
        """The value in float64."""
        return Isotropic(self.like.double(), self.shapes)

    def tensors(self) -> dict[str, Tensor]:
        """The value."""
        return {"value": self.like}

    def spec(self) -> JSONValue:
        """Kind, names and shapes."""
        return {"kind": "isotropic", "shapes": [[n, list(s)] for n, s in self.shapes.items()]}

    @cached_property
    def _positive(self) -> Float[Tensor, ""]:
        positive(self.least(), f"isotropic precision of {_named(self.shapes)}")
        return self.like


def _named(shapes: Mapping[str, torch.Size]) -> str:
    first = next(iter(shapes), "nothing")
    return f"{first!r}" + (f" and {len(shapes) - 1} more" if len(shapes) > 1 else "")
