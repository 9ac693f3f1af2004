"""What every precision structure answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.gaussian._jacobian import Jacobian
from counterpoint.gaussian._vectors import Shift, noise
from counterpoint.storage import JSONValue


class Precision(ABC):
    """A symmetric matrix over named weights, kept in a structure that says how to invert it.

    Vectors are ``name -> tensor`` with the names and shapes of `shapes`; leading dimensions are
    carried along by every structure but `Sum`. `R` is a root of the matrix: ``R R' = P``.

    Types: products and solutions are computed in the wider of the vector's type and the
    structure's, and come back in the vector's own; `pull` works in the Jacobian's type; sums of two
    structures are in the wider type. So a float32 or float64 precision serves bfloat16 weights.

    Attributes:
        shapes: the weights' names and shapes, in the order of the flat vector.
    """

    shapes: dict[str, torch.Size]

    @property
    @abstractmethod
    def like(self) -> Tensor:
        """A tensor of the structure's type and device."""

    @abstractmethod
    def scaled(self, factor: float | Tensor) -> "Precision":
        """``factor P``."""

    @abstractmethod
    def shift(self, by: Shift) -> "Precision":
        """``P + diag(by)``: a number, one a name, or one a weight; names left out are not shifted.

        Raises:
            InputError: a name that is not there, or a tensor that does not broadcast to its shape.
        """

    @abstractmethod
    def mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``P v``."""

    @abstractmethod
    def solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``P⁻¹ v``.

        Raises:
            InputError: the matrix is not positive definite (as all that needs its inverse).
        """

    @abstractmethod
    def root_mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``R v``: of standard normal numbers, a draw with covariance ``P``."""

    @abstractmethod
    def root_solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``R'⁻¹ v``: of standard normal numbers, a draw with covariance ``P⁻¹``."""

    @abstractmethod
    def logdet(self) -> Float[Tensor, ""]:
        """``log det P`` in float64, differentiable by scales and shifts that ask for it."""

    @abstractmethod
    def pull(self, jacobian: Jacobian) -> Float[Tensor, "rows columns columns"]:
        """``J P⁻¹ J'``: the covariance of what the Jacobian is of, positive semidefinite.

        Names of the Jacobian that the structure does not hold count as known exactly.
        """

    @abstractmethod
    def diagonal(self) -> dict[str, Tensor]:
        """The diagonal of ``P``."""

    @abstractmethod
    def variances(self) -> dict[str, Tensor]:
        """The diagonal of ``P⁻¹``."""

    @abstractmethod
    def dense(self) -> Float[Tensor, "total total"]:
        """``P`` in full, in the order of `shapes`."""

    @abstractmethod
    def least(self) -> float:
        """The least eigenvalue (of a large `Sum`: a lower bound)."""

    @abstractmethod
    def restrict(self, names: Sequence[str]) -> "Precision":
        """The principal block of `names`: the precision given all other weights."""

    @abstractmethod
    def marginal(self, names: Sequence[str]) -> "Precision":
        """The precision of `names` when the other weights are integrated out."""

    @abstractmethod
    def widened(self, shapes: Mapping[str, torch.Size]) -> "Precision":
        """The same over more or longer weights, zero where they are new.

        Args:
            shapes: of the weights now: all of its own names, each at least as long in every
                dimension, whose old part is the leading corner; and any others.

        Raises:
            InputError: the structure cannot grow so.
        """

    @abstractmethod
    def fewer(self, share: float) -> "Precision":
        """``share P``, as if of that share of the examples: what `pool` may add more examples to.

        Where a structure is made of sums over examples, these are what is scaled.
        """

    @abstractmethod
    def double(self) -> "Precision":
        """The same for determinants: eigenvalues in float64, none below zero by rounding.

        Beside a sum that was rounded to float32 the logarithm of a small prior is not to be
        trusted.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What it holds; with `spec`, `precision_from` makes it again."""

    @abstractmethod
    def spec(self) -> JSONValue:
        """How `tensors` are to be read, as a JSON value."""

    @property
    def independent(self) -> dict[str, Tensor] | None:
        """The precision of each weight where they are independent, ``P = diag(...)``; else none."""
        return None

    @property
    def total(self) -> int:
        """The number of weights."""
        return sum(shape.numel() for shape in self.shapes.values())

    def draw(self, generator: torch.Generator, count: int) -> dict[str, Tensor]:
        """Draws with mean zero and covariance ``P⁻¹``: name -> ``(count, *shape)``."""
        return self.root_solve(noise(self.shapes, generator, self.like, count))

    def __add__(self, other: "Precision") -> "Precision":
        """`add` of both."""
        # the algebra knows all structures, which all know this class
        from counterpoint.gaussian._algebra import add

        return add(self, other)
