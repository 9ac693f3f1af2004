"""Groups of weights that are independent of each other, each in a structure of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.gaussian._diagonal import Isotropic
from counterpoint.gaussian._jacobian import Jacobian
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._vectors import Shift, chosen, part_of
from counterpoint.storage import JSONValue


@dataclass(frozen=True, eq=False)
class Block(Precision):
    """Block diagonal: a last layer, a subnetwork, or a structure for each layer.

    Attributes:
        parts: at least one, with names of their own; blocks of blocks are taken apart.
        shapes: of all parts, one after the other.
    """

    parts: tuple[Precision, ...]
    shapes: dict[str, torch.Size] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = tuple(
            inner
            for part in self.parts
            # flat, so that sums find the finest partition without a search
            for inner in (part.parts if isinstance(part, Block) else (part,))
        )
        shapes = {name: shape for part in parts for name, shape in part.shapes.items()}
        if not parts or len(shapes) < sum(len(part.shapes) for part in parts):
            names = [name for part in parts for name in part.shapes]
            again = sorted({name for name in names if names.count(name) > 1})
            raise InputError(
                f"block: a name belongs to one part and there is at least one part, found"
                f" {again or 'none'}"
            )
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "shapes", shapes)

    @property
    def like(self) -> Tensor:
        """Of the first part."""
        return self.parts[0].like

    def scaled(self, factor: float | Tensor) -> "Block":
        """``factor P``."""
        return Block(tuple(part.scaled(factor) for part in self.parts))

    def shift(self, by: Shift) -> "Block":
        """Each part shifted."""
        if not isinstance(by, Mapping):
            return Block(tuple(part.shift(by) for part in self.parts))
        part_of(by, self.shapes)
        parts: list[Precision] = []
        for part in self.parts:
            mine = {name: value for name, value in by.items() if name in part.shapes}
            parts.append(part.shift(mine) if mine else part)
        return Block(tuple(parts))

    def mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Part by part."""
        return self._merged(lambda part: part.mv(vector))

    def solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Part by part."""
        return self._merged(lambda part: part.solve(vector))

    def root_mv(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Part by part."""
        return self._merged(lambda part: part.root_mv(vector))

    def root_solve(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Part by part."""
        return self._merged(lambda part: part.root_solve(vector))

    def draw(self, generator: torch.Generator, count: int) -> dict[str, Tensor]:
        """Part by part, in order: a `Sum` among them draws in its own way."""
        return self._merged(lambda part: part.draw(generator, count))

    def logdet(self) -> Float[Tensor, ""]:
        """The parts' sum."""
        return torch.stack([part.logdet().to(self.like.device) for part in self.parts]).sum()

    def pull(self, jacobian: Jacobian) -> Float[Tensor, "rows columns columns"]:
        """The parts' sum."""
        return torch.stack([part.pull(jacobian) for part in self.parts]).sum(0)

    def diagonal(self) -> dict[str, Tensor]:
        """Part by part."""
        return self._merged(lambda part: part.diagonal())

    def variances(self) -> dict[str, Tensor]:
        """Part by part."""
        return self._merged(lambda part: part.variances())

    def dense(self) -> Float[Tensor, "total total"]:
        """Blocks on the diagonal."""
        return torch.block_diag(*(part.dense() for part in self.parts))

    def least(self) -> float:
        """The least of the parts'."""
        return min(part.least() for part in self.parts)

    def restrict(self, names: Sequence[str]) -> Precision:
        """Of the parts that have some of the names."""
        return self._picked(names, lambda part, mine: part.restrict(mine))

    def marginal(self, names: Sequence[str]) -> Precision:
        """Of the parts that have some of the names."""
        return self._picked(names, lambda part, mine: part.marginal(mine))

    def widened(self, shapes: Mapping[str, torch.Size]) -> Precision:
        """Part by part, and zeros for new names."""
        parts = [part.widened({name: shapes[name] for name in part.shapes}) for part in self.parts]
        return beside(parts, shapes)

    def fewer(self, share: float) -> "Block":
        """Part by part."""
        return Block(tuple(part.fewer(share) for part in self.parts))

    @property
    def independent(self) -> dict[str, Tensor] | None:
        """Of all parts, if those of each are."""
        result = dict[str, Tensor]()
        for part in self.parts:
            values = part.independent
            if values is None:
                return None
            result |= values
        return result

    def double(self) -> "Block":
        """Part by part."""
        return Block(tuple(part.double() for part in self.parts))

    def tensors(self) -> dict[str, Tensor]:
        """Of part i under ``i/``."""
        return {
            f"{place}/{name}": value
            for place, part in enumerate(self.parts)
            for name, value in part.tensors().items()
        }

    def spec(self) -> JSONValue:
        """Kind and the parts' own."""
        return {"kind": "block", "parts": [part.spec() for part in self.parts]}

    def _merged(self, call: Callable[[Precision], dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: value for part in self.parts for name, value in call(part).items()}

    def _picked(
        self, names: Sequence[str], call: Callable[[Precision, Sequence[str]], Precision]
    ) -> Precision:
        wanted = chosen(names, self.shapes)
        mine = [(part, [name for name in part.shapes if name in wanted]) for part in self.parts]
        parts = tuple(call(part, some) for part, some in mine if some)
        return parts[0] if len(parts) == 1 else Block(parts)


def beside(parts: Sequence[Precision], shapes: Mapping[str, torch.Size]) -> Precision:
    """Parts, and zeros for the names of `shapes` that are in none of them."""
    known = {name for part in parts for name in part.shapes}
    zero = parts[0].like.new_zeros(())
    # one a name, and isotropic: adding it leaves whatever structure the new weights come in
    free = [Isotropic(zero, {n: shape}) for n, shape in shapes.items() if n not in known]
    return parts[0] if len(parts) == 1 and not free else Block((*parts, *free))
