"""Tasks as `counterpoint.train.fit` takes them: batches, goals, and what ends a task."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from counterpoint.continual._memory import Memory
from counterpoint.continual.scenarios._task import Task
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.seeding import generator
from counterpoint.train import Moment


@dataclass(frozen=True)
class TaskTraining:
    """How each task is learnt: Adam on batches drawn without replacement, pass after pass.

    Attributes:
        iterations: steps a task.
        batch_size: rows a step, or all if the task has fewer; an incomplete last batch is left out.
        rate: Adam's learning rate.
        reset: a fresh Adam for each task; by default its moments go on, as in the literature.
        seed: of the order of rows, and of what the model draws.

    Raises:
        InputError: a number that is not positive.
    """

    iterations: int = 500
    batch_size: int = 128
    rate: float = 1e-3
    reset: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name}: must be above 0, found {getattr(self, name)}")


STANDARD = TaskTraining()
"""500 steps a task."""


class TaskSequence:
    """A loader whose next epoch is the next task, its goals, and the callback that ends it.

    Args:
        tasks: in order.
        model: what `fit` is given.
        memory: begun before each task, consolidated after it.
        training: steps, and the seed of the order.
        apart: the penalty is a goal of its own, for a balancer.
        stepped: called with the steps done so far.
        ended: called with the number of a task that has been learnt.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        model: nn.Module,
        memory: Memory | None,
        training: TaskTraining,
        *,
        apart: bool,
        stepped: Callable[[int], None],
        ended: Callable[[int], None],
    ) -> None:
        self.learning, self.consolidating = list[float](), list[float]()
        self._tasks, self._model, self._memory, self._training = tasks, model, memory, training
        self._apart, self._stepped, self._ended = apart, stepped, ended
        self._steps, self._start = 0, 0.0

    @property
    def task(self) -> Task:
        """The one that is being learnt."""
        return self._tasks[len(self.learning)]

    @property
    def name(self) -> str:
        """What a refusal calls what is being learnt."""
        return self.task.name

    def steps(self, size: int) -> int:
        """The same number for every task, however few rows it has."""
        del size
        return self._training.iterations

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """The batches of the task that begins."""
        del seed  # the order is one for all memories compared, whatever else draws
        self._start = time.perf_counter()
        if self._memory is not None:
            self._memory.begin(self._model)
        task, draw = self.task, generator(self._training.seed, len(self.learning), 0)
        for rows in islice(_drawn(len(task), size, draw), start, self._training.iterations):
            yield task.batch(rows)

    def goals(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The task's loss, and what leaving the memory costs."""
        task, memory = self.task, self._memory
        loss = task.likelihood.nll(batch.call(model), batch["y"])
        # the first task has nothing to remember, yet goals are the same for every batch
        cost = loss * 0.0
        if memory is not None and memory.tasks:
            cost = memory.penalty(model, batch, rows=len(task))
        # one goal without a balancer: the mean of two would halve the gradient, which Adam does not
        # see but `SI` adds up
        return {"loss": loss, "remember": cost} if self._apart else {"loss": loss + cost}

    def step_end(self, moment: Moment) -> bool:
        """Let the memory look at a step; the run goes on."""
        self._steps += 1
        self._stepped(self._steps)
        if self._memory is not None:
            self._memory.observe(moment.model)
        return False

    def epoch_end(self, moment: Moment) -> bool:
        """Let the memory take the task in; the run goes on."""
        task, number, middle = self.task, len(self.learning), time.perf_counter()
        if self._memory is not None:
            # a stream of its own: what a memory draws does not change the order of rows
            own = generator(self._training.seed, number, 1)
            self._memory.consolidate(moment.model, task.likelihood, task.batches(), generator=own)
        self.learning.append(middle - self._start)
        self.consolidating.append(time.perf_counter() - middle)
        self._ended(number)
        return False


class TaskMixture:
    """A loader of rows of every task in every batch, and their goal; see `TaskSequence`."""

    name = "all"

    def __init__(
        self, tasks: Sequence[Task], training: TaskTraining, stepped: Callable[[int], None]
    ) -> None:
        self._tasks, self._training, self._stepped = tasks, training, stepped
        # rounded up, so that no task is left out of a small batch
        share = -(-training.batch_size // len(tasks))
        self._rows = [min(share, len(task)) for task in tasks]

    def steps(self, size: int) -> int:
        """As many as for one task alone."""
        del size
        return self._training.iterations

    def batches(self, size: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """An equal share of each task, task after task."""
        del size, seed
        tasks, draw = self._tasks, generator(self._training.seed)
        drawn = [_drawn(len(t), rows, draw) for t, rows in zip(tasks, self._rows, strict=True)]
        for rows in islice(zip(*drawn, strict=True), start, self._training.iterations):
            parts = [task.batch(some) for task, some in zip(tasks, rows, strict=True)]
            yield Batch.of(
                torch.cat([part["x"] for part in parts]),
                target=torch.cat([part["y"] for part in parts]),
            )

    def goals(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The mean over all rows, each under the outputs that compete when its task is asked."""
        outputs, targets = batch.call(model).split(self._rows), batch["y"].split(self._rows)
        each = [
            task.asked.nll_each(output, target)
            for task, output, target in zip(self._tasks, outputs, targets, strict=True)
        ]
        return {"loss": torch.cat(each).mean()}

    def step_end(self, moment: Moment) -> bool:
        """Count a step; the run goes on."""
        self._stepped(moment.step)
        return False

    def epoch_end(self, moment: Moment) -> bool:
        """Nothing; the run goes on."""
        del moment
        return False


def _drawn(rows: int, size: int, draw: torch.Generator) -> Iterator[Tensor]:
    """Row numbers of batch after batch, without replacement within a pass, for ever."""
    while True:
        order = torch.randperm(rows, generator=draw)
        # whole batches alone: a short last one would weigh its rows more
        yield from order.split(min(size, rows))[: max(1, rows // size)]
