"""What memories share: tasks counted, states read and written, settings checked."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.data import Batch, DataLike, Unpack, one_pass
from counterpoint.errors import InputError
from counterpoint.goals import Heads, Likelihood
from counterpoint.plain import StrPath
from counterpoint.storage import (
    below,
    pack_state,
    read_folder,
    refuse_other_settings,
    unpack_state,
    write_folder,
)

_KIND = "continual memory"
_SCHEMA = 1

_HELD = "held"
"""The group of a memory's tensors: names of weights, which could be any, collide with nothing."""


@dataclass
class Count:
    """Tasks so far: the one number that every memory changes."""

    tasks: int = 0


@dataclass(frozen=True, eq=False)
class LearntTask:
    """A task that has been learnt: all that a memory may look at.

    Attributes:
        model: as learnt.
        heads: the likelihood of its outputs.
        data: batches of its rows, as they came.
        generator: source of randomness, for memories that draw.
        unpack: reads a batch; none means `counterpoint.data.as_batch`.
    """

    model: nn.Module
    heads: Heads
    data: DataLike
    generator: torch.Generator | None = None
    unpack: Unpack | None = None

    def batches(self) -> Iterator[Batch]:
        """The rows that count, read; see `counterpoint.goals.Heads.counted`."""
        for found in one_pass(self.data, self.unpack):
            batch = self.heads.counted(self.heads.read(found).detached())
            if batch is not None:
                yield batch


@dataclass(frozen=True, eq=False, kw_only=True)
class MemoryBase(ABC):
    """The part of a memory that does not depend on what is remembered.

    Attributes:
        strength: factor of the penalty; 1 is Bayes' rule.
    """

    strength: float = 1.0
    _count: Count = field(default_factory=Count, init=False, repr=False)

    def __post_init__(self) -> None:
        if not (isfinite(self.strength) and self.strength > 0):
            raise InputError(f"strength: must be positive and finite, found {self.strength}")

    @property
    def tasks(self) -> int:
        """Tasks consolidated so far."""
        return self._count.tasks

    def begin(self, model: nn.Module) -> None:
        """Nothing to note where a task begins."""
        del model

    def observe(self, model: nn.Module) -> None:
        """Nothing to note of a step."""
        del model

    @torch.inference_mode(False)
    def consolidate(
        self,
        model: nn.Module,
        likelihood: Likelihood | Mapping[str, Likelihood],
        data: DataLike,
        *,
        generator: torch.Generator | None = None,
        unpack: Unpack | None = None,
    ) -> None:
        """Add a task that has been learnt; the next one begins at these weights.

        With torch.distributed initialised, each rank gives its own rows and memories of weights
        hold the sum.

        Args:
            model: as learnt; switched to evaluation mode and back.
            likelihood: of its outputs in this task.
            data: batches of the task's rows, as `counterpoint.curvature.fisher` takes them.
            generator: source of randomness, for memories that draw; none means their own.
            unpack: reads a batch; none means `counterpoint.data.as_batch`.

        Raises:
            InputError: a task without rows or of one class, weights that changed, what is to be
                held is not finite (names the layer, and the batch); what was held is intact.

        Warns:
            ForgettingWarning: the model is so certain that next to nothing is held.
        """
        # counted only once it is held: a task that is refused leaves all as it was
        self._remember(LearntTask(model, Heads.of(likelihood), data, generator, unpack))
        self._count.tasks += 1
        self.begin(model)

    @abstractmethod
    def _remember(self, task: LearntTask) -> None:
        """Hold what a task says, or refuse it with all as it was."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The settings that what is held depends on, as plain values."""

    @abstractmethod
    def _state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values and tensors of what is held."""

    @abstractmethod
    def _restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Hold what `_state` gave."""

    def state_dict(self) -> dict[str, Tensor]:
        """All that the penalties to come depend on, as tensors on the CPU."""
        values, tensors = self._state()
        plain = {"settings": self.describe(), "tasks": self.tasks, "values": values}
        return pack_state(plain, {_HELD: tensors})

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was called: the same penalties, to the bit.

        Raises:
            InputError: it is the state of a memory with other settings; names the first.
        """
        plain = unpack_state(state, "memory")
        # before anything changes: a state of other settings would give other penalties silently
        refuse_other_settings("memory", plain["settings"], self.describe())
        # states written before tensors had a group of their own hold them beside the plain values
        tensors = {name: value for name, value in plain.items() if isinstance(value, Tensor)}
        self._restore(plain["values"], below(state, _HELD) or tensors)
        self._count.tasks = int(plain["tasks"])

    def save(self, path: StrPath, *, overwrite: bool = False) -> None:
        """Write a folder that `load` reads back to the same bits.

        Raises:
            InputError: it exists already, or the disk refused.
        """
        write_folder(
            path,
            kind=_KIND,
            schema=_SCHEMA,
            tensors={"state": self.state_dict()},
            data=self.describe(),
            overwrite=overwrite,
        )

    def load(self, path: StrPath) -> None:
        """Go on where `save` was called.

        Raises:
            InputError: the folder is damaged, or of a memory with other settings.
        """
        self.load_state_dict(read_folder(path, kind=_KIND, schema=_SCHEMA).tensors("state"))

    def _refuse_empty(self) -> None:
        if not self.tasks:
            raise InputError(
                "memory: a penalty needs something to remember, found no task so far; call"
                " consolidate(model, likelihood, data) after the first, and ask memory.tasks"
            )


def checked_rows(rows: float) -> float:
    """The rows of the current task, seen to be a positive number."""
    if not (isfinite(rows) and rows > 0):
        raise InputError(f"rows: must be the rows of the current task, above 0, found {rows}")
    return rows


def attached(
    likelihoods: Sequence[Likelihood | Mapping[str, Likelihood]], tasks: int
) -> list[Heads]:
    """The heads of each task, of one likelihood a task or one for all."""
    found = [Heads.of(one) for one in likelihoods]
    if len(found) not in (1, tasks):
        raise InputError(
            f"attach: one likelihood, or one for each of {tasks} tasks, is expected, found"
            f" {len(found)}"
        )
    # one likelihood, given once, is that of every task
    return found * tasks if len(found) == 1 else found


def refuse_unattached(heads: Sequence[Heads], tasks: int) -> None:
    """Refuse to go on without the likelihood of every task."""
    if len(heads) != tasks:
        raise InputError(
            f"memory: the likelihoods of its {tasks} tasks are not in its state; give them with"
            " attach(likelihood, ...)"
        )
