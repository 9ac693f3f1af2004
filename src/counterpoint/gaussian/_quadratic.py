"""A quadratic over named weights: what a Gaussian costs, or any number of them together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.gaussian._algebra import add, pool
from counterpoint.gaussian._energy import Energy
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._state import precision_from
from counterpoint.gaussian._vectors import flat, padded, split
from counterpoint.storage import JSONValue


@dataclass(frozen=True, eq=False)
class Quadratic:
    r"""``1/2 (θ - c)' P (θ - c) + s' (θ - c) + k``: closed under sums, multiples and other centres.

    The negative logarithm of a Gaussian is one, and so is any sum of these, however many, with
    precisions of zero for weights of which nothing is known. Nothing is inverted on the way:
    written around another centre :math:`c'`,

    .. math:: s \leftarrow s + P (c' - c), \qquad
        k \leftarrow k + s^\top (c' - c) + \tfrac12 (c' - c)^\top P (c' - c).

    >>> from counterpoint.gaussian import Diagonal
    >>> one = Quadratic({"w": torch.zeros(1)}, Diagonal({"w": torch.tensor([2.0])}))
    >>> two = Quadratic({"w": torch.tensor([4.0])}, Diagonal({"w": torch.tensor([6.0])}))
    >>> both = one + two
    >>> at = {"w": torch.tensor([1.0])}
    >>> both.energy(at).item(), both.minimum()["w"].item()  # 2/2 1² + 6/2 3², and (0 + 6 4) / 8
    (28.0, 3.0)

    Attributes:
        centre: ``c`` by name.
        precision: ``P``, of the same names and shapes.
        slope: ``s`` by name; none where it is zero.
        constant: ``k``, so that the value is that of a sum, and not only its gradient.
    """

    centre: dict[str, Tensor]
    precision: Precision
    slope: dict[str, Tensor] | None = None
    constant: Float[Tensor, ""] | float = 0.0

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Of the weights."""
        return self.precision.shapes

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(iter(self.centre.values())).device

    def energy(self, weights: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """The value, in float32 or better; the product with the precision is made once.

        Args:
            weights: of the names and shapes of the centre.
        """
        values = Energy.apply(self._metric, *(weights[name] for name in self.shapes))
        return values[0]

    def gradient(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``P (θ - c) + s``, without a graph."""
        with torch.no_grad():
            pulled = self.precision.mv(self._apart(weights))
            slope = self.slope or {}
            return {n: value + slope[n] if slope else value for n, value in pulled.items()}

    def add_gradient(self, weights: Sequence[Tensor], into: Sequence[Tensor], scale: float) -> None:
        """Add ``scale (P (θ - c) + s)`` in place, in as few launches as a diagonal allows.

        Args:
            weights: in the order of `shapes`.
            into: what is added to, of the same shapes.
            scale: a factor.
        """
        with torch.no_grad():
            lists = self._lists
            if lists is not None and {w.dtype for w in weights} == {c.dtype for c in lists[0]}:
                # as torch's own optimisers do, which have no public spelling for it either
                sub, addcmul = torch._foreach_sub, torch._foreach_addcmul_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
                addcmul(list(into), sub(list(weights), lists[0]), lists[1], scale)
                return
            gradient = self.gradient(dict(zip(self.shapes, weights, strict=True)))
            for target, name in zip(into, self.shapes, strict=True):
                target.add_(gradient[name], alpha=scale)

    def __add__(self, other: "Quadratic") -> "Quadratic":
        """The sum, around this one's centre: a product of Gaussians."""
        return self.joined(other)

    def joined(self, other: "Quadratic", *, pooled: bool = False) -> "Quadratic":
        """The sum, around this one's centre.

        Args:
            other: of the same names and shapes.
            pooled: add Kronecker factors (`pool`), an approximation; otherwise the sum is exact.

        Raises:
            InputError: they are not about the same weights.
        """
        join = pool if pooled else add
        precision, there = join(self.precision, other.precision), other.around(self.centre)
        slope = there.slope if self.slope is None else self.slope
        if self.slope is not None and there.slope is not None:
            slope = {name: value + there.slope[name] for name, value in self.slope.items()}
        return Quadratic(self.centre, precision, slope, self.constant + there.constant)

    def scaled(self, factor: float) -> "Quadratic":
        """``factor E``: a power of a Gaussian, or forgetting."""
        return self._scaled(factor, self.precision.scaled(factor))

    def fewer(self, share: float) -> "Quadratic":
        """``share E`` as if of that share of the examples: what `joined` may pool more with."""
        return self._scaled(share, self.precision.fewer(share))

    def widened(self, shapes: Mapping[str, torch.Size]) -> "Quadratic":
        """The same over more or longer weights, which are free.

        Args:
            shapes: see `Precision.widened`.

        Raises:
            InputError: the structure cannot grow so.
        """
        if shapes == self.shapes:
            return self
        slope = None if self.slope is None else padded(self.slope, shapes)
        precision = self.precision.widened(shapes)
        return Quadratic(padded(self.centre, shapes), precision, slope, self.constant)

    def around(self, centre: Mapping[str, Tensor]) -> "Quadratic":
        """The same function, written around another point."""
        # the usual sum is around a centre that one of its terms has: no product for nothing
        if all(centre[name] is value for name, value in self.centre.items()):
            return self
        apart = self._apart(centre)
        pulled = self.precision.mv(apart)
        slope = self.slope or {name: torch.zeros_like(value) for name, value in apart.items()}
        gain = [(step * (slope[n] + pulled[n] / 2)).sum() for n, step in apart.items()]
        return Quadratic(
            {name: centre[name] for name in self.centre},
            self.precision,
            {name: slope[name] + pulled[name] for name in apart},
            self.constant + torch.stack(gain).sum(),
        )

    def settled(self) -> "Quadratic":
        """Around its minimum where weights are independent: ``c - s / P``, and no slope is left."""
        independent, slope = self.precision.independent, self.slope
        if independent is None or slope is None:
            return self
        # where the precision is zero so is every part of it, and with them the slope
        steps = {
            name: torch.where(value > 0, slope[name] / value, torch.zeros_like(value))
            for name, value in independent.items()
        }
        loss = torch.stack([(slope[n] * step).sum() for n, step in steps.items()]).sum()
        centre = {n: (value - steps[n]).to(value.dtype) for n, value in self.centre.items()}
        return Quadratic(centre, self.precision, None, self.constant - loss / 2)

    def minimum(self) -> dict[str, Tensor]:
        """``c - P⁻¹ s``, in the centre's own types.

        Raises:
            InputError: there is a slope and the precision is not positive definite.
        """
        if self.slope is None:
            return self.centre
        step = self.precision.solve(self.slope)
        return {name: (value - step[name]).to(value.dtype) for name, value in self.centre.items()}

    def to(self, device: torch.device) -> "Quadratic":
        """The same on another device."""
        return _moved(self, device)

    def tensors(self) -> dict[str, Tensor]:
        """All that it holds, by name; `spec` says how to read it."""
        first = next(iter(self.centre.values()))
        held = {f"mean/{name}": value for name, value in self.centre.items()}
        held |= {f"precision/{name}": v for name, v in self.precision.tensors().items()}
        held |= {f"slope/{name}": value for name, value in (self.slope or {}).items()}
        return {**held, "constant": torch.as_tensor(self.constant).to(first)}

    def spec(self) -> dict[str, JSONValue]:
        """How `tensors` are to be read."""
        names = list(self.centre)
        return {
            "precision": self.precision.spec(),
            "names": names,
            "slope": self.slope is not None,
        }

    @classmethod
    def read(cls, spec: JSONValue, tensors: Mapping[str, Tensor]) -> "Quadratic":
        """What `spec` and `tensors` wrote."""
        centre = {name: tensors[f"mean/{name}"] for name in spec["names"]}
        lead = "precision/"
        inside = {n.removeprefix(lead): t for n, t in tensors.items() if n.startswith(lead)}
        precision = precision_from(spec["precision"], inside)
        slope = {name: tensors[f"slope/{name}"] for name in centre} if spec["slope"] else None
        return cls(centre, precision, slope, tensors["constant"])

    def _scaled(self, factor: float, precision: Precision) -> "Quadratic":
        slope = None if self.slope is None else {n: v * factor for n, v in self.slope.items()}
        return Quadratic(self.centre, precision, slope, self.constant * factor)

    def _apart(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        # float32 or better: in half precision a sum of squares is lost, and infinite sooner
        return {
            name: weights[name].to(self._type(weights[name])) - value
            for name, value in self.centre.items()
        }

    def _type(self, weights: Tensor) -> torch.dtype:
        wide = torch.promote_types(weights.dtype, self.precision.like.dtype)
        return torch.promote_types(wide, torch.float32)

    @cached_property
    def _flat(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        independent = self.precision.independent
        values = None if independent is None else flat(independent, self.shapes).detach()
        slope = None if self.slope is None else flat(self.slope, self.shapes)
        return flat(self.centre, self.shapes), values, slope

    @cached_property
    def _lists(self) -> tuple[list[Tensor], list[Tensor]] | None:
        independent = self.precision.independent
        if independent is None or self.slope is not None:
            return None
        lists = [self.centre[n] for n in self.shapes], [independent[n] for n in self.shapes]
        same = all(a.dtype == b.dtype for a, b in zip(*lists, strict=True))
        return lists if same else None

    def _metric(self, parameters: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The value and the gradients, each in its parameter's own type."""
        shapes, (centre, values, slope) = self.shapes, self._flat
        weights = torch.cat([value.reshape(-1) for value in parameters])
        apart = weights.to(self._type(weights)) - centre
        if values is not None:
            pulled = apart * values
        else:
            pulled = flat(self.precision.mv(split(apart, shapes)), shapes)
        energy = torch.dot(apart, pulled.to(apart.dtype)) / 2 + self.constant
        if slope is not None:
            energy = energy + torch.dot(apart, slope.to(apart.dtype))
            pulled = pulled + slope
        # what a likelihood's loss is in, so that the sum of both is
        energy = energy.to(torch.promote_types(weights.dtype, torch.float32))
        gradients = split(pulled, shapes).values()
        return energy, tuple(g.to(p.dtype) for g, p in zip(gradients, parameters, strict=True))


def _moved(value: Any, device: torch.device) -> Any:
    """A frozen value with all tensors in it on a device: structures of somebody else's, too."""
    # not by `spec` and `tensors`: these are checked when they are read, entry by entry
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: _moved(each, device) for name, each in value.items()}
    if type(value) is tuple:  # a shape is one, too
        return tuple(_moved(each, device) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: _moved(getattr(value, f.name), device) for f in fields(value) if f.init}
        return replace(value, **parts)
    return value
