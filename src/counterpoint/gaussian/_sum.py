"""A sum of structures that is none of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.gaussian._block import Block
from counterpoint.gaussian._conjugate import Operator, conjugate_gradients
from counterpoint.gaussian._dense import Dense
from counterpoint.gaussian._diagonal import Diagonal, Isotropic
from counterpoint.gaussian._jacobian import Jacobian, chunks, matrices
from counterpoint.gaussian._kronecker import Kronecker
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._vectors import (
    FORMED_LIMIT,
    Shift,
    cholesky,
    chosen,
    flat,
    noise,
    number,
    positions,
    positive,
    returned,
    small,
    split,
    spread,
    wider,
)
from counterpoint.storage import JSONValue

_ITERATIONS = 1000
_TRIAL = 16
"""Iterations after which preconditioners are compared."""


def aligned(member: Precision, shapes: Mapping[str, torch.Size]) -> Float[Tensor, "total total"]:
    """A structure's dense form with the weights in the order of `shapes`."""
    full = member.dense()
    if list(member.shapes) == list(shapes):
        return full
    place = positions(shapes, member.shapes)
    return full[place][:, place]


@dataclass(frozen=True, eq=False)
class Sum(Precision):
    """``P = Σ members``, never added up: a sum of Kronecker products is not a Kronecker product.

    Solves by conjugate gradients; what needs a decomposition (the determinant, variances, roots,
    marginals) is taken from a dense matrix, up to 4096 weights.

    Attributes:
        members: at least two, of the same names and shapes.
        shapes: of the first.
    """

    members: tuple[Precision, ...]
    shapes: dict[str, torch.Size] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise InputError(f"sum: at least two members are expected, found {len(self.members)}")
        object.__setattr__(self, "shapes", dict(self.members[0].shapes))

    @property
    def like(self) -> Tensor:
        """Of the first member."""
        return self.members[0].like

    def scaled(self, factor: float | Tensor) -> "Sum":
        """``factor P``."""
        return Sum(tuple(member.scaled(factor) for member in self.members))

    def shift(self, by: Shift) -> Precision:
        """Added to a member that takes it, else a member more."""
        if not isinstance(by, Mapping):
            return self + Isotropic(by, self.shapes)
        return self + Diagonal(spread(by, self.shapes, self.like))

    def mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The members' sum."""
        # in the wider type before they are added: members may cancel
        wide = {name: vector[name].to(wider(vector[name], self.like)) for name in self.shapes}
        parts = [member.mv(wide) for member in self.members]
        both = {name: reduce(torch.add, [part[name] for part in parts]) for name in self.shapes}
        return returned(both, vector)

    def solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By conjugate gradients, to a relative residual of 1e-10 (float64) or 1e-5.

        Raises:
            InputError: 1000 iterations are not enough (says the residual).
        """
        v = flat(vector, self.shapes)
        return returned(split(self._solve(v.to(wider(v, self.like))), self.shapes), vector)

    def root_mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``R`` the Cholesky root of the dense matrix."""
        v = flat(vector, self.shapes)
        return returned(split(v.to(self._root) @ self._root.T, self.shapes), vector)

    def root_solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``R'⁻¹ v``; `draw` needs no root and has no limit of size."""
        v = flat(vector, self.shapes)
        columns = v.reshape(-1, self.total).T.to(self._root)
        solved = torch.linalg.solve_triangular(self._root.T, columns, upper=True).T
        return returned(split(solved.reshape(v.shape), self.shapes), vector)

    def draw(self, generator: torch.Generator, count: int) -> dict[str, Tensor]:
        """Exact: a draw with covariance ``P`` from every member's root, then solved for."""
        drawn: list[Tensor] = []
        for _ in range(count):
            # Σ R_i ε_i has covariance Σ P_i = P, and P⁻¹ of it P⁻¹ (Papandreou & Yuille 2010)
            draws = [
                flat(member.root_mv(noise(member.shapes, generator, self.like)), self.shapes)
                for member in self.members
            ]
            drawn.append(self._solve(reduce(torch.add, draws)))
        return split(torch.stack(drawn), self.shapes)

    def logdet(self) -> Float[Tensor, ""]:
        """From the dense matrix' Cholesky root.

        Raises:
            InputError: there are more than 4096 weights.
        """
        small(self.total, "logdet of a sum")
        return 2 * cholesky(self.dense(), "sum of precisions").diagonal().log().sum()

    def pull(self, jacobian: Jacobian) -> Float[Tensor, "rows columns columns"]:
        """``J P⁻¹ J'`` of an explicit ``J``, a chunk of rows at a time."""
        parts = chunks(jacobian, self.shapes)
        return torch.cat([self._pull(matrices(part, self.shapes)) for part in parts])

    def diagonal(self) -> dict[str, Tensor]:
        """The members' sum."""
        found = [member.diagonal() for member in self.members]
        return {name: reduce(torch.add, [part[name] for part in found]) for name in self.shapes}

    def variances(self) -> dict[str, Tensor]:
        """From the dense matrix.

        Raises:
            InputError: there are more than 4096 weights.
        """
        eye = torch.eye(self.total, dtype=self._root.dtype, device=self._root.device)
        inverse = torch.linalg.solve_triangular(self._root, eye, upper=False)
        return split(inverse.square().sum(0).to(self.like.dtype), self.shapes)

    def dense(self) -> Float[Tensor, "total total"]:
        """The members' sum."""
        return reduce(torch.add, [aligned(member, self.shapes) for member in self.members])

    def least(self) -> float:
        """From the dense matrix; above 4096 weights the members' sum, a lower bound (Weyl 1912)."""
        if self.total > FORMED_LIMIT:
            return sum(member.least() for member in self.members)
        return float(torch.linalg.eigvalsh(self.dense().detach().double())[0])

    def restrict(self, names: Sequence[str]) -> Precision:
        """The members' blocks added."""
        return reduce(lambda a, b: a + b, [member.restrict(names) for member in self.members])

    def marginal(self, names: Sequence[str]) -> Precision:
        """From the dense matrix, unless all is asked for.

        Raises:
            InputError: there are more than 4096 weights.
        """
        if chosen(names, self.shapes) == self.shapes:
            return self
        small(self.total, "marginal of a sum")
        return Dense(self.dense(), self.shapes).marginal(names)

    def widened(self, shapes: Mapping[str, torch.Size]) -> "Sum":
        """Member by member."""
        return Sum(tuple(member.widened(shapes) for member in self.members))

    def fewer(self, share: float) -> "Sum":
        """``share P``: a sum is of several sets of examples, and none of them is added to."""
        return self.scaled(share)

    def double(self) -> "Sum":
        """Member by member."""
        return Sum(tuple(member.double() for member in self.members))

    def tensors(self) -> dict[str, Tensor]:
        """Of member i under ``i/``."""
        return {
            f"{place}/{name}": value
            for place, member in enumerate(self.members)
            for name, value in member.tensors().items()
        }

    def spec(self) -> JSONValue:
        """Kind and the members' own."""
        return {"kind": "sum", "members": [member.spec() for member in self.members]}

    @cached_property
    def _root(self) -> Float64[Tensor, "total total"]:
        small(self.total, "inverse of a sum")
        return cholesky(self.dense().detach(), "sum of precisions")

    def _pull(self, wide: Float[Tensor, "rows columns total"]) -> Tensor:
        if self.total <= FORMED_LIMIT:
            columns = wide.reshape(-1, self.total).T.to(self._root)
            root = torch.linalg.solve_triangular(self._root, columns, upper=False).T
            root = root.reshape(wide.shape).to(wide)
            return root @ root.mT
        solved = torch.stack([self._solve(row) for row in wide.flatten(0, 1)])
        # symmetric in exact arithmetic; conjugate gradients stop before it is
        result = wide @ solved.view(wide.shape).mT
        return (result + result.mT) / 2

    def _product(self, vector: Tensor) -> Tensor:
        return flat(self.mv(split(vector, self.shapes)), self.shapes)

    @torch.no_grad()
    def _solve(self, target: Float[Tensor, " total"]) -> Float[Tensor, " total"]:
        tolerance = 1e-10 if target.dtype == torch.float64 else 1e-5
        found = conjugate_gradients(
            self._product, self._precondition, target, tolerance=tolerance, most=_ITERATIONS
        )
        # computed afresh, the residual also shows what rounding did
        if not found.residual <= 10 * tolerance:
            raise InputError(
                f"sum of precisions: a relative residual of {tolerance:g} is expected within"
                f" {_ITERATIONS} iterations, found {found.residual:.3g} after {found.iterations};"
                f" shift(...) it, or use float64"
            )
        return found.vector

    @cached_property
    def _precondition(self) -> Operator:
        """The candidate with the least residual after a few iterations on a fixed vector."""
        # fixed: which preconditioner is taken must not depend on whom the solve is for
        generator = torch.Generator().manual_seed(0)
        probe = flat(noise(self.shapes, generator, self.like), self.shapes)
        choices = [_operator(choice, self.shapes) for choice in self._candidates()]
        if not choices:
            positive(min(0.0, float(flat(self.diagonal(), self.shapes).min())), "sum of precisions")
        trials = [
            conjugate_gradients(self._product, choice, probe, tolerance=0.0, most=_TRIAL).residual
            for choice in choices
        ]
        # a trial that broke down is not a number, which would win every comparison
        ranked = [value if value == value else float("inf") for value in trials]
        return choices[ranked.index(min(ranked))]

    def _candidates(self) -> list[Precision]:
        """All entries' own diagonal; each member, and Kronecker members pooled, plus the rest."""
        layers = [member for member in self.members if isinstance(member, Kronecker)]
        choices: list[tuple[Precision, list[Precision]]] = [
            (member, [other for other in self.members if other is not member])
            for member in self.members
        ]
        if len(layers) > 1 and len({number(layer.scale) for layer in layers}) == 1:
            rest = [member for member in self.members if not isinstance(member, Kronecker)]
            choices.append((reduce(Kronecker.pooled, layers), rest))
        found: list[Precision] = [Diagonal(self.diagonal())]
        for choice, rest in choices:
            if _direct(choice):
                # the rest enters as its mean level: cheap, and right where it is a prior
                means = [float(flat(other.diagonal(), self.shapes).mean()) for other in rest]
                found.append(choice.shift(sum(means)))
        return [choice for choice in found if choice.least() > 0]


def _direct(member: Precision) -> bool:
    parts = member.parts if isinstance(member, Block) else (member,)
    return not any(isinstance(part, Sum) for part in parts)


def _operator(choice: Precision, shapes: Mapping[str, torch.Size]) -> Operator:
    return lambda vector: flat(choice.solve(split(vector, shapes)), shapes)
