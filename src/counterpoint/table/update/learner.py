"""The two ways to learn new rows: the heads on a trunk that stays, or the whole network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.nn import TableNet
from counterpoint.table.fit import Context
from counterpoint.table.kept import Kept
from counterpoint.table.memory import remember
from counterpoint.table.model import Member, TableModel
from counterpoint.table.prepare import Prepared, Target
from counterpoint.table.schema import Column
from counterpoint.table.update.deep import train_deep
from counterpoint.table.update.embed import learn_levels
from counterpoint.table.update.grow import first_new, grow_network

__all__ = ["Learner"]


@dataclass(frozen=True)
class Learner:
    """How a model's members learn rows of a table.

    Attributes:
        model: before; left as it is.
        prepared: the table, its columns grown.
        keep: share of what earlier rows say that stays.
        deep: whether the trunk is trained, too.
        context: where it happens.
        kept: places of kept rows in the table.
        grown: whether classes are new, of which no earlier row but kept ones says anything: these
            are learnt along.
    """

    model: TableModel
    prepared: Prepared
    keep: float
    deep: bool
    context: Context
    kept: Tensor
    grown: bool

    @classmethod
    def of(
        cls, model: TableModel, prepared: Prepared, keep: float, deep: bool, context: Context
    ) -> "Learner":
        """A learner of a table.

        Args:
            model: before.
            prepared: the table.
            keep: share of what earlier rows say that stays.
            deep: whether the trunk is trained, too.
            context: where it happens.

        Raises:
            InputError: rows of a new class alone, and no kept ones of others.
        """
        grown = [
            (old, target)
            for old, target in zip(model.schema.targets, prepared.targets, strict=True)
            if target.categorical and target.outputs > len(old.levels)
        ]
        before = len(prepared.inputs["numbers"])
        if model.kept is not None:
            prepared = _extended(prepared, model.kept)
        for old, target in grown:
            _refuse_lonely(prepared.targets, old, target.name, context.name)
        kept = torch.arange(before, len(prepared.inputs["numbers"]))
        return cls(model, prepared, keep, deep, context, kept, bool(grown))

    @property
    def first(self) -> dict[int, int]:
        """For each grown input, by its place among the categories, the first code that is new."""
        return first_new(self.model.schema, self.prepared.schema)

    def networks(self, inside: Tensor, held: Tensor) -> list[TableNet]:
        """The members' networks, grown, vectors of new levels learnt; trained if it is deep.

        Args:
            inside: places of the rows to learn from.
            held: places of those that decide when training stops.
        """
        return [self._network(place, inside, held) for place in range(len(self.model.members))]

    def members(
        self,
        networks: Sequence[TableNet],
        rows: Tensor,
        noise: Mapping[str, float] | None = None,
        *,
        final: bool = False,
    ) -> tuple[Member, ...]:
        """The members after some rows.

        Args:
            networks: as `networks` made them.
            rows: places.
            noise: target -> noise variance from now on; where there is none it stays.
            final: whether the networks' heads and the Gaussians over all weights follow; the
                networks are changed then.
        """
        pairs = zip(self.model.members, networks, strict=True)
        return tuple(self._member(*pair, rows, noise or {}, final) for pair in pairs)

    def _rehearsing(self, rows: Tensor) -> Tensor:
        return torch.cat([rows, self.kept]) if self.grown else rows

    def _network(self, place: int, inside: Tensor, held: Tensor) -> TableNet:
        member = self.model.members[place]
        old, new = self.model.schema, self.prepared.schema
        network = grow_network(member.network, old, new, self.model.recipe)
        noise, inside = member.belief.noise, self._rehearsing(inside)
        learn_levels(network, self.first, self.prepared, inside, noise)
        if not self.deep or member.memory is None:
            return network
        network, _ = train_deep(
            network,
            member.memory,
            self.prepared,
            inside,
            torch.cat([held, self.kept]),
            noise,
            recipe=self.model.recipe,
            keep=self.keep,
            context=self.context,
            place=place,
        )
        return network

    def _member(
        self,
        member: Member,
        network: TableNet,
        rows: Tensor,
        noise: Mapping[str, float],
        final: bool,
    ) -> Member:
        learnt = self._rehearsing(rows)
        belief = member.belief.updated(network, self.prepared, learnt, keep=self.keep, noise=noise)
        memory = None
        if final:
            belief.settle(network)
        if final and member.memory is not None:
            memory = remember(
                network,
                self.prepared,
                rows,
                belief.noise,
                before=member.memory,
                keep=self.keep,
            )
        return Member(network, belief, memory)


def _extended(prepared: Prepared, kept: Kept) -> Prepared:
    """The table with kept rows after its own, which are not among those to learn."""
    more = kept.prepared(prepared.schema)
    inputs = {name: torch.cat([v, more.inputs[name]]) for name, v in prepared.inputs.items()}
    targets = tuple(
        replace(
            target,
            values=torch.cat([target.values, other.values]),
            weight=torch.cat([target.weight, other.weight]),
        )
        for target, other in zip(prepared.targets, more.targets, strict=True)
    )
    return replace(prepared, inputs=inputs, targets=targets)


def _refuse_lonely(targets: Sequence[Target], old: Column, name: str, where: str) -> None:
    target = next(target for target in targets if target.name == name)
    if not bool((target.values[target.weight > 0] < len(old.levels)).any()):
        raise InputError(
            f"{where}: target {name!r}: every row is of a class that the model does not know, so"
            " nothing says how to tell it from the others; add rows of known classes, or keep some"
            " next time with --keep-sample"
        )
