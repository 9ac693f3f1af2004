"""The two ways to learn new rows: the heads on a trunk that stays, or the whole network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.nn import TableNet
from counterpoint.table.fit._context import Context
from counterpoint.table.fit._prepare import Prepared, Target
from counterpoint.table.model._exemplars import Exemplars
from counterpoint.table.model._memory import remember
from counterpoint.table.model._model import Member, TableModel
from counterpoint.table.update._deep import DeepUpdateData, train_deep
from counterpoint.table.update._embed import learn_levels
from counterpoint.table.update._grow import first_new, grow_network
from counterpoint.table.update._rows import FOLDS


@dataclass(frozen=True)
class Updater:
    """How a model's members learn rows of a table.

    Attributes:
        model: before; left as it is.
        prepared: the table, its columns grown.
        keep: share of what earlier rows say that stays.
        deep: whether the trunk is trained, too.
        context: where it happens.
        exemplars: places of kept rows in the table, after its own.
        grown: targets that have new classes, of which no earlier row but kept ones says anything:
            these learn kept rows along, once more.
    """

    model: TableModel
    prepared: Prepared
    keep: float
    deep: bool
    context: Context
    exemplars: Tensor
    grown: frozenset[str]

    @classmethod
    def of(
        cls, model: TableModel, prepared: Prepared, keep: float, deep: bool, context: Context
    ) -> "Updater":
        """A updater of a table.

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
            (old.head.outputs, target.name)
            for old, target in zip(model.schema.targets, prepared.targets, strict=True)
            if target.outputs > old.head.outputs
        ]
        before = len(prepared.inputs["numbers"])
        if model.exemplars is not None:
            prepared = _extended(prepared, model.exemplars)
        for classes, name in grown:
            _refuse_lonely(prepared.targets, classes, name, context.name)
        exemplars = torch.arange(before, len(prepared.inputs["numbers"]))
        names = frozenset(name for _, name in grown)
        return cls(model, prepared, keep, deep, context, exemplars, names)

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

    @cached_property
    def lessons(self) -> Prepared:
        """The table with weights of learning: kept rows count for targets with new classes."""
        scale = {target.name: float(target.name in self.grown) for target in self.prepared.targets}
        return self._reweighed(scale)

    def _judged(self) -> Prepared:
        """The table with weights of judging.

        Exemplars are to the rows of the fold that is left out as all earlier rows, by the share of
        them that stays, are to all new ones.
        """
        earlier = 0.0 if self.model.exemplars is None else float(self.model.exemplars.stands.mean())
        return self._reweighed(
            {target.name: self.keep * earlier / FOLDS for target in self.prepared.targets}
        )

    def _reweighed(self, scale: Mapping[str, float]) -> Prepared:
        targets = list[Target]()
        for target in self.prepared.targets:
            weight = target.weight.clone()
            weight[self.exemplars] *= scale[target.name]
            targets.append(replace(target, weight=weight))
        return replace(self.prepared, targets=tuple(targets))

    def _learning(self, rows: Tensor) -> Tensor:
        """Rows, and kept ones where they are learnt along."""
        return torch.cat([rows, self.exemplars]) if self.grown else rows

    def _network(self, place: int, inside: Tensor, held: Tensor) -> TableNet:
        member = self.model.members[place]
        old, new = self.model.schema, self.prepared.schema
        network = grow_network(member.network, old, new, self.model.recipe)
        noise, inside = member.posterior.noise, self._learning(inside)
        learn_levels(network, self.first, self.lessons, inside, noise)
        if not self.deep or member.memory is None:
            return network
        # stopping by new rows alone would go on until the earlier ones were forgotten
        rows = torch.cat([held, self.exemplars])
        return train_deep(
            network,
            member.memory,
            DeepUpdateData(
                self.lessons, inside, self._judged(), rows, with_exemplars=len(self.exemplars) > 0
            ),
            noise,
            recipe=(self.model.unresolved or self.model.recipe).resolved(len(inside)),
            keep=self.keep,
            context=self.context,
            place=place,
        )

    def _member(
        self,
        member: Member,
        network: TableNet,
        rows: Tensor,
        noise: Mapping[str, float],
        final: bool,
    ) -> Member:
        learnt = self._learning(rows)
        posterior = member.posterior.updated(
            network, self.lessons, learnt, keep=self.keep, noise=noise
        )
        memory = None
        if final:
            posterior.settle(network)
        if final and member.memory is not None:
            memory = remember(
                network,
                self.prepared,
                rows,
                posterior.noise,
                before=member.memory,
                keep=self.keep,
            )
        return Member(network, posterior, memory)


def _extended(prepared: Prepared, kept: Exemplars) -> Prepared:
    """The table with kept rows after its own, which are not among those to learn."""
    more = kept.prepared(prepared.schema)
    inputs = {name: torch.cat([v, more.inputs[name]]) for name, v in prepared.inputs.items()}
    targets = tuple(
        replace(
            target,
            values=torch.cat([target.values, other.values]),
            weight=torch.cat([target.weight, other.weight]),
            actual=torch.cat([target.actual, other.actual]),
        )
        for target, other in zip(prepared.targets, more.targets, strict=True)
    )
    return replace(prepared, inputs=inputs, targets=targets)


def _refuse_lonely(targets: Sequence[Target], classes: int, name: str, where: str) -> None:
    target = next(target for target in targets if target.name == name)
    # of one class alone every boundary would do, and the old ones would be pushed away
    if not bool((target.values[target.weight > 0] < classes).any()):
        raise InputError(
            f"{where}: target {name!r}: every row is of a class that the model does not know, so"
            " nothing says how to tell it from the others; add rows of known classes, or keep some"
            " next time with --keep-sample"
        )
