"""Rows of earlier tasks within a hard bound: a sample of all that was seen, whatever the order."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from counterpoint.data import Batch
from counterpoint.errors import InputError

_WEIGHT = "weight"


@dataclass(frozen=True, eq=False)
class Store:
    """At most `capacity` rows, those with the greatest keys.

    With keys drawn at random this is a reservoir: every row that was ever offered is held with the
    same probability, without its being known how many will come (Vitter 1985; keys as in Efraimidis
    and Spirakis 2006). Balanced, the greatest keys of each group in turn: groups have equal shares,
    and within each the same holds.

    Attributes:
        capacity: the bound.
        balanced: equal shares for groups.
        columns: name -> one value a row.
        keys: of the rows held.
        groups: task and class of the rows held.
    """

    capacity: int
    balanced: bool
    columns: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    keys: Float[Tensor, " rows"] = field(default_factory=lambda: torch.zeros(0).double())
    groups: Int[Tensor, "rows 2"] = field(default_factory=lambda: torch.zeros(0, 2).long())

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise InputError(
                f"capacity: a memory of rows needs at least one, found {self.capacity}"
            )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def tasks(self) -> Int[Tensor, " rows"]:
        """The number of the task of each row, from 0."""
        return self.groups[:, 0]

    def offered(
        self,
        columns: Mapping[str, Tensor],
        keys: Float[Tensor, " rows"],
        groups: Int[Tensor, "rows 2"],
    ) -> "Store":
        """The store after these rows, too."""
        moved = {name: value.detach().cpu() for name, value in columns.items()}
        if self.columns:
            _refuse_other(self.columns, moved)
            moved = {name: _stacked(self.columns[name], value) for name, value in moved.items()}
        keys, groups = torch.cat([self.keys, keys.double()]), torch.cat([self.groups, groups])
        # the greatest of those held and those that come are the greatest of all: one pass is enough
        kept = _greatest(keys, groups if self.balanced else None, self.capacity)
        return replace(
            self,
            # a copy: a view would keep the whole batch in memory
            columns={name: value[kept].clone() for name, value in moved.items()},
            keys=keys[kept],
            groups=groups[kept],
        )

    def drawn(self, count: int, generator: torch.Generator) -> Int[Tensor, " rows"]:
        """Places of some rows, without replacement; all of them if there are no more."""
        if count >= len(self):
            return torch.arange(len(self))
        return torch.randperm(len(self), generator=generator)[:count]

    def take(self, places: Int[Tensor, " some"]) -> dict[str, Tensor]:
        """The columns of some rows."""
        return {name: value[places] for name, value in self.columns.items()}

    def tensors(self) -> dict[str, Tensor]:
        """All that it holds."""
        columns = {f"column/{name}": value for name, value in self.columns.items()}
        return {**columns, "keys": self.keys, "groups": self.groups}

    def read(self, tensors: Mapping[str, Tensor]) -> "Store":
        """A store with the same bound that holds what `tensors` gave."""
        keys = tensors["keys"]
        if len(keys) > self.capacity:
            raise InputError(f"capacity: {self.capacity} rows may be held, found {len(keys)}")
        columns = {
            name.removeprefix("column/"): value
            for name, value in tensors.items()
            if name.startswith("column/")
        }
        return replace(self, columns=columns, keys=keys, groups=tensors["groups"])


def columns_of(batch: Batch) -> dict[str, Tensor]:
    """What a batch has one value a row of: inputs by place or name, targets, weights."""
    shared = batch.sharing()
    if shared:
        raise InputError(
            f"batch: rows are kept one by one, found the input {next(iter(shared))!r} that all rows"
            " share; make it part of the model"
        )
    found = {f"input/{place}": value for place, value in enumerate(batch.inputs)}
    found |= {f"named/{name}": value for name, value in batch.named.items()}
    if isinstance(batch.target, Mapping):
        found |= {f"target/{name}": value for name, value in batch.target.items()}
    elif batch.target is not None:
        found["target"] = batch.target
    weight = torch.ones(batch.rows) if batch.weight is None else batch.weight.float()
    return {**found, _WEIGHT: weight}


def batch_of(columns: Mapping[str, Tensor]) -> Batch:
    """What `columns_of` took apart."""
    inputs = [columns[f"input/{i}"] for i in range(len(columns)) if f"input/{i}" in columns]
    named = {n.removeprefix("named/"): v for n, v in columns.items() if n.startswith("named/")}
    heads = {n.removeprefix("target/"): v for n, v in columns.items() if n.startswith("target/")}
    rows = len(columns[_WEIGHT])
    target = heads or columns.get("target")
    return Batch(tuple(inputs), named, target, columns[_WEIGHT], rows)


def _greatest(
    keys: Float[Tensor, " rows"], groups: Int[Tensor, "rows 2"] | None, count: int
) -> Int[Tensor, " kept"]:
    """Places of the rows to keep, in the order in which they came."""
    # stable: equal keys keep the order in which they came, on every machine
    order = keys.argsort(descending=True, stable=True)
    if groups is not None:
        _, group = groups[order].unique(dim=0, return_inverse=True)
        # the place of each row among those of its group, then all first ones, all second ones, ...
        member = torch.nn.functional.one_hot(group).cumsum(0)
        rank = member.gather(1, group[:, None])[:, 0]
        order = order[rank.argsort(stable=True)]
    return order[:count].sort().values


def _refuse_other(held: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    for name in {**held, **found}:
        mine, theirs = held.get(name), found.get(name)
        if mine is None or theirs is None:
            raise InputError(f"memory: rows of all tasks have the same columns; {name!r} differs")
        if mine.ndim != theirs.ndim or (
            not name.startswith("output") and mine.shape[1:] != theirs.shape[1:]
        ):
            raise InputError(
                f"memory: {name!r} must have rows of shape {tuple(mine.shape[1:])} as in earlier"
                f" tasks, found {tuple(theirs.shape[1:])}"
            )


def _stacked(first: Tensor, second: Tensor) -> Tensor:
    """Rows one after the other; outputs of a head that grew are not a number where it was short."""
    if first.shape[1:] == second.shape[1:]:
        return torch.cat([first, second])
    # not a number and not zero: an output that was not there is not an output of zero
    wide = max(first.shape[1], second.shape[1])
    parts = [
        torch.nn.functional.pad(part, (0, wide - part.shape[1]), value=torch.nan)
        for part in (first, second)
    ]
    return torch.cat(parts)
