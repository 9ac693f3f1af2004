"""Sets of hidden units that may change places together, and the tensors that follow them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor


@dataclass(frozen=True)
class UnitAxis:
    """Where units lie along a dimension: ``copies`` runs of units, each ``span`` entries long.

    A convolution's channels, flattened, are units with a span of its pixels; the heads of an
    attention lie in three copies in its joint projection, with a span of a head's width.
    """

    copies: int = 1
    span: int = 1

    def length(self, units: int) -> int:
        """Entries of the whole dimension."""
        return self.copies * units * self.span

    def entries(self, order: Tensor) -> Tensor:
        """The order of entries that an order of units makes."""
        runs = torch.arange(self.copies)[:, None, None] * (len(order) * self.span)
        return (runs + order[:, None] * self.span + torch.arange(self.span)).reshape(-1)


@dataclass(frozen=True)
class Channels:
    """The units that run along a dimension of an activation."""

    units: "UnitSet"
    axis: UnitAxis


@dataclass
class UnitSet:
    """Hidden units that are interchangeable, if nothing fixes them.

    Attributes:
        count: how many.
        label: the layer that makes them.
        fixed: why they may not change places; empty where they may.
        uses: (tensor, dimension) -> how they lie along it.
        joined: the set that this one was found to be.
    """

    count: int
    label: str
    fixed: str = ""
    uses: dict[tuple[str, int], UnitAxis] = field(default_factory=dict[tuple[str, int], UnitAxis])
    joined: "UnitSet | None" = None

    def root(self) -> "UnitSet":
        """The set that this one is now."""
        found = self
        while found.joined is not None:
            found = found.joined
        return found

    def fix(self, why: str) -> None:
        """They keep their places; the first reason stays."""
        found = self.root()
        found.fixed = found.fixed or why

    def join(self, other: "UnitSet") -> None:
        """Both change places together: what is added must be in one order."""
        mine, theirs = self.root(), other.root()
        if mine is theirs:
            return
        if mine.count != theirs.count:
            why = f"{mine.label} and {theirs.label} meet with {mine.count} and {theirs.count} units"
            mine.fix(why)
            theirs.fix(why)
            return
        mine.fixed = mine.fixed or theirs.fixed
        # keys are different: a dimension that both have would have joined them before
        mine.uses |= theirs.uses
        theirs.joined = mine


Sides: TypeAlias = dict[int, Channels]
"""What runs along the dimensions of an activation."""


class Ledger:
    """All sets of units, and who has said what about each dimension of each tensor."""

    def __init__(self, names: Mapping[int, str]) -> None:
        """Args: names: a tensor's `id` -> its name; tied tensors have one."""
        self._names = names
        self._sets: list[UnitSet] = []
        self._owners: dict[tuple[str, int], Channels | None] = {}

    def made(
        self, tensor: Tensor, dimension: int, units: int, label: str, axis: UnitAxis
    ) -> Channels:
        """The units that a dimension of a tensor makes, the same at every call of a layer."""
        name = self._names[id(tensor)]
        owner = self._owners.get((name, dimension))
        if owner is not None and owner.axis == axis and owner.units.root().count == units:
            return owner
        made = Channels(UnitSet(units, label), axis)
        self._sets.append(made.units)
        self.tie(tensor, dimension, made)
        return made

    def tie(self, tensor: Tensor | None, dimension: int, channels: Channels | None) -> None:
        """A dimension of a tensor follows the units, or, where there are none, stays."""
        if tensor is None:
            return
        key = (self._names[id(tensor)], dimension)
        if channels is not None:
            units = channels.units.root().count
            # a wrong guess about a reshape would show here, before anything is moved
            if channels.axis.length(units) != tensor.shape[dimension]:
                channels.units.fix(f"{key[0]} is of another size")
                channels = None
        if key not in self._owners:
            self._owners[key] = channels
            if channels is not None:
                channels.units.root().uses[key] = channels.axis
            return
        owner = self._owners[key]
        both = [each for each in (owner, channels) if each is not None]
        if len(both) == 2 and both[0].axis == both[1].axis:
            both[0].units.join(both[1].units)
        elif both:
            for each in both:
                each.units.fix(f"{key[0]} is used in another way, too")

    def sets(self) -> Iterator[UnitSet]:
        """Each set once, in the order of the layers."""
        return (each for each in self._sets if each.joined is None)

    def tensors(self) -> set[str]:
        """Names that somebody has said something of."""
        return {name for name, _ in self._owners}
