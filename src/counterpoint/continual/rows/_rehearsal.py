"""What memories of rows share: a bounded store, the likelihoods of its tasks, a generator."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.continual._base import (
    LearntTask,
    MemoryBase,
    attached,
    checked_rows,
    refuse_unattached,
)
from counterpoint.continual._task_summary import TaskSummary
from counterpoint.continual.rows._store import Store, batch_of, columns_of
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Heads, Likelihood
from counterpoint.parameters import device_of, evaluating
from counterpoint.seeding import generator as seeded_generator


@dataclass
class Rehearsal:
    """What changes: the store, the rows it is a sample of, likelihoods, the generator."""

    store: Store
    generator: torch.Generator
    rows: float = 0.0
    heads: list[Heads] = field(default_factory=list[Heads])


@dataclass(frozen=True, eq=False)
class Replayed:
    """Some of the rows held.

    Attributes:
        batch: as a batch.
        tasks: the number of each row's task, from 0.
        columns: all that is stored of them.
    """

    batch: Batch
    tasks: Tensor
    columns: dict[str, Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class RehearsalMemory(MemoryBase):
    """A memory of rows.

    Attributes:
        capacity: the most rows held, over all tasks; on each rank of a distributed run its own.
        balanced: the same number of rows of each class of each task, instead of a plain reservoir.
        batch: rows that a penalty looks at, drawn anew for each.
        seed: of its own generator.
    """

    capacity: int = 1000
    balanced: bool = False
    batch: int = 128
    seed: int = 0
    _held: Rehearsal = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 1:
            raise InputError(f"batch: at least one row is drawn, found {self.batch}")
        store = Store(self.capacity, self.balanced)
        held = Rehearsal(store, seeded_generator(self.seed))
        # frozen settings, one thing that changes: set once
        object.__setattr__(self, "_held", held)

    @property
    def size(self) -> int:
        """Rows held."""
        return len(self._held.store)

    def rows(self, count: int | None = None, generator: torch.Generator | None = None) -> Replayed:
        """Some of the rows held, without replacement: for a loop that mixes them in itself.

        Args:
            count: how many; none means `batch`. All of them if there are no more.
            generator: source of randomness; none means the memory's own.

        Raises:
            InputError: before the first `consolidate`.
        """
        self._refuse_empty()
        held = self._held
        places = held.store.drawn(count or self.batch, generator or held.generator)
        columns = held.store.take(places)
        return Replayed(batch_of(columns), held.store.tasks[places], columns)

    def penalty(self, model: nn.Module, batch: Any = None, *, rows: float) -> Float[Tensor, ""]:
        """What the rows drawn say against the model, in nats a row of the current task.

        Args:
            model: as it is now, in whatever mode it is.
            batch: not needed.
            rows: of the current task.

        Raises:
            InputError: before the first `consolidate`; or the memory was loaded and does not know
                the likelihoods yet.
        """
        del batch
        checked_rows(rows)
        drawn = self.rows()
        refuse_unattached(self._held.heads, self.tasks)
        device = device_of(model)
        moved = drawn.batch.to(device)
        outputs = self._held.heads[0].outputs(moved.call(model))
        return self.strength * self._against(outputs, drawn, moved, rows)

    def _remember(self, task: LearntTask) -> None:
        held, draw = self._held, task.generator or self._held.generator
        store, seen, offered = held.store, TaskSummary(), 0
        with evaluating(task.model), torch.no_grad():
            for whole in task.batches():
                columns = columns_of(whole) | self._noted(task.model, task.heads, whole)
                keys = self._keys(task.heads, columns, draw)
                store = store.offered(columns, keys, self._groups(whole))
                seen.count(whole, task.heads)
                offered += whole.rows
        seen.judged()
        # rows, not their weights, which are in the mean over rows already
        held.store, held.rows = store, held.rows + offered
        held.heads.append(task.heads)

    def attach(self, *likelihoods: Likelihood | Mapping[str, Likelihood]) -> None:
        """Give a memory that was loaded the likelihoods of its tasks, which no state holds.

        Args:
            likelihoods: one a task, in order; one alone is that of all.

        Raises:
            InputError: neither one nor as many as tasks.
        """
        self._held.heads = attached(likelihoods, self.tasks)

    def describe(self) -> dict[str, Any]:
        """The settings that what is held depends on, as plain values."""
        return {
            "memory": type(self).__name__,
            "capacity": self.capacity,
            "balanced": self.balanced,
        }

    @abstractmethod
    def _against(
        self, outputs: Mapping[str, Tensor], drawn: Replayed, moved: Batch, rows: float
    ) -> Tensor:
        """The penalty of some rows, strength left out."""

    def _noted(self, model: nn.Module, heads: Heads, batch: Batch) -> dict[str, Tensor]:
        """What more than inputs and targets is stored of a batch."""
        del model, heads, batch
        return {}

    def _keys(
        self, heads: Heads, columns: Mapping[str, Tensor], generator: torch.Generator
    ) -> Tensor:
        del heads
        rows = len(columns["weight"])
        # float64: among millions of float32 keys there would be ties, which favour early rows
        return torch.rand(rows, generator=generator, dtype=torch.float64)

    def _nll(self, outputs: Mapping[str, Tensor], drawn: Replayed, moved: Batch) -> Tensor:
        """The mean negative log likelihood of the rows drawn, each by its own task's likelihood."""
        parts = list[Tensor]()
        for task in drawn.tasks.unique().tolist():
            # each row under its own task's likelihood: other outputs compete for it
            mine = (drawn.tasks == task).nonzero()[:, 0].to(next(iter(outputs.values())).device)
            some = {name: value[mine] for name, value in outputs.items()}
            parts.append(self._held.heads[task].weighted_nll(some, moved.take(mine)))
        return torch.stack(parts).sum() / len(drawn.tasks)

    def _groups(self, batch: Batch) -> Tensor:
        target = batch.target
        classes = torch.zeros(batch.rows, dtype=torch.long)
        if isinstance(target, Tensor) and target.ndim == 1 and not target.is_complex():
            whole = target.detach().cpu()
            # classes in float are classes still; measurements have one group together
            if not whole.is_floating_point() or bool((whole == whole.round()).all()):
                classes = whole.long()
        return torch.stack([torch.full_like(classes, self.tasks), classes], 1)

    def _state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        held = self._held
        tensors = {**held.store.tensors(), "generator": held.generator.get_state()}
        return {"rows": held.rows}, tensors

    def _restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        held = self._held
        held.store, held.rows = held.store.read(tensors), values["rows"]
        held.generator.set_state(tensors["generator"])
        # likelihoods are objects and in no state; `attach` gives them back
        held.heads = []
