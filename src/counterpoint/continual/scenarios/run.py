"""Task after task, with any memory or none: the plain loop that examples and benchmarks share."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterpoint.continual.memory import Memory
from counterpoint.continual.rows.rehearsal import RehearsalMemory
from counterpoint.continual.scenarios.metrics import Accuracies, stacked
from counterpoint.continual.scenarios.scenario import Scenario
from counterpoint.continual.scenarios.task import Task
from counterpoint.continual.warning import ForgettingWarning
from counterpoint.continual.weights.quadratic_memory import QuadraticMemory
from counterpoint.errors import InputError
from counterpoint.seeding import generator
from counterpoint.train.progress import reporter

__all__ = ["STANDARD", "Run", "TaskTraining", "compare", "joint", "run"]


@dataclass(frozen=True)
class TaskTraining:
    """How each task is learnt: Adam on batches drawn without replacement, epoch after epoch.

    Attributes:
        iterations: steps a task.
        batch_size: rows a step, or all if the task has fewer; an incomplete last batch is left out.
        rate: Adam's learning rate.
        reset: a fresh Adam for each task; by default its moments go on, as in the literature.
        seed: of the order of rows.

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


@dataclass(frozen=True, eq=False)
class Run:
    """What came of it.

    Attributes:
        accuracies: of test rows.
        learning: seconds that the steps of each task took.
        consolidating: seconds that the memory took after each.
    """

    accuracies: Accuracies
    learning: tuple[float, ...]
    consolidating: tuple[float, ...]


def run(
    scenario: Scenario,
    model: nn.Module,
    memory: Memory | None = None,
    course: TaskTraining = STANDARD,
    *,
    progress: bool | str = True,
) -> Run:
    """Learn the tasks of a scenario one after the other.

    After each, all tasks are tested. Memories of weights add their gradients after the backward
    pass; all others are a term of the loss.

    Args:
        scenario: the tasks.
        model: is trained in place; its output has `Scenario.outputs` columns.
        memory: consolidated after each task; none is naive fine-tuning, the floor.
        course: steps, batches, rate.
        progress: show it; or the text to show with it.

    Raises:
        InputError: an output of another width, or a loss that is not finite (names the task).

    Warns:
        ForgettingWarning: a class-incremental scenario in which all outputs compete, and a memory
            that holds no rows.
    """
    _warn_drowning(scenario, memory)
    optimiser = _adam(model, course)
    found, learning, consolidating = [_tested(scenario, model)], list[float](), list[float]()
    count = len(scenario.tasks)
    shown = reporter(progress, count, count * course.iterations)
    with closing(shown):
        for number, task in enumerate(scenario.tasks):
            if course.reset:
                optimiser = _adam(model, course)
            # streams of their own: what a memory draws does not change the order of rows
            draw, own = (generator(course.seed, number, purpose) for purpose in (0, 1))
            start = time.perf_counter()
            for step in _learn(task, model, memory, course, optimiser, draw):
                shown.step(number * course.iterations + step)
            middle = time.perf_counter()
            if memory is not None:
                memory.consolidate(model, task.likelihood, task.batches(), generator=own)
            learning.append(middle - start)
            consolidating.append(time.perf_counter() - middle)
            found.append(_tested(scenario, model))
            shown.note(_line(progress, f"task {number + 1} of {count} ({task.name})", found[-1]))
    accuracies = stacked(scenario.names, found)
    return Run(accuracies, tuple(learning), tuple(consolidating))


def joint(
    scenario: Scenario,
    model: nn.Module,
    course: TaskTraining = STANDARD,
    *,
    progress: bool | str = True,
) -> Run:
    """Learn all tasks at once, as many steps as for one alone: the ceiling.

    Every batch has rows of every task, under the outputs that compete when it is asked.

    Args:
        scenario: the tasks.
        model: is trained in place.
        course: steps, batches, rate.
        progress: show it.

    Raises:
        InputError: as `run`.
    """
    draw, optimiser = generator(course.seed), _adam(model, course)
    before, tasks = _tested(scenario, model), scenario.tasks
    share = -(-course.batch_size // len(tasks))
    streams = [_places(len(task), share, draw) for task in tasks]
    model.train()
    start, loss = time.perf_counter(), torch.zeros(())
    shown = reporter(progress, 1, course.iterations)
    with closing(shown):
        for step in range(course.iterations):
            batches = [task.batch(next(s)) for task, s in zip(tasks, streams, strict=True)]
            optimiser.zero_grad()
            loss = _together(model, tasks, batches)
            loss.backward()
            optimiser.step()
            shown.step(step + 1)
        _refuse_infinite(loss, "all")
        seconds = time.perf_counter() - start
        found = _tested(scenario, model)
        shown.note(_line(progress, f"all {len(tasks)} tasks at once", found))
    return Run(stacked(scenario.names, [before, found]), (seconds,), ())


def compare(
    scenario: Scenario,
    model: nn.Module,
    memories: Mapping[str, Memory],
    course: TaskTraining = STANDARD,
    *,
    progress: bool = True,
) -> dict[str, Run]:
    """Memories side by side, with the ceiling and the floor: joint training and none at all.

    Args:
        scenario: the tasks.
        model: where all begin; each learns in a copy, on the same batches.
        memories: name -> memory, each with nothing in it yet.
        course: steps, batches, rate.
        progress: show it.

    Returns:
        ``"joint"``, ``"none"``, and the memories' names -> what came of it.

    Raises:
        InputError: as `run`; a memory that has tasks in it, or one of the two names taken.
    """
    for name, memory in memories.items():
        if name in ("joint", "none"):
            raise InputError(f"memories: {name!r} is always there; give it another name")
        if memory.tasks:
            raise InputError(f"memories: {name!r} has {memory.tasks} tasks in it already")
    found = {
        "joint": joint(scenario, deepcopy(model), course, progress=progress and "joint"),
        "none": run(scenario, deepcopy(model), None, course, progress=progress and "none"),
    }
    for name, memory in memories.items():
        found[name] = run(scenario, deepcopy(model), memory, course, progress=progress and name)
    return found


def _learn(
    task: Task,
    model: nn.Module,
    memory: Memory | None,
    course: TaskTraining,
    optimiser: torch.optim.Optimizer,
    draw: torch.Generator,
) -> Iterator[int]:
    """The steps of one task, each counted when it is done."""
    model.train()
    rows, loss = len(task), torch.zeros(())
    device = next(model.parameters()).device
    if memory is not None:
        memory.begin(model)
    held = memory if memory is not None and memory.tasks else None
    places = _places(rows, course.batch_size, draw)
    for step in range(course.iterations):
        x, y = (part.to(device) for part in task.batch(next(places)))
        optimiser.zero_grad()
        loss = task.likelihood.nll(model(x), y)
        if held is not None and not isinstance(held, QuadraticMemory):
            loss = loss + held.penalty(model, (x, y), rows=rows)
        loss.backward()
        if isinstance(held, QuadraticMemory):
            held.add_gradients(model, rows=rows)
        optimiser.step()
        if memory is not None:
            memory.observe(model)
        yield step + 1
    _refuse_infinite(loss, task.name)


def _together(
    model: nn.Module, tasks: Sequence[Task], batches: Sequence[tuple[Tensor, Tensor]]
) -> Tensor:
    """The mean over all rows, each under its own task's likelihood, from one forward pass."""
    device = next(model.parameters()).device
    outputs = model(torch.cat([x for x, _ in batches]).to(device))
    parts = outputs.split([len(y) for _, y in batches])
    each = [
        task.asked.nll_each(part, y.to(device))
        for task, part, (_, y) in zip(tasks, parts, batches, strict=True)
    ]
    return torch.cat(each).mean()


def _places(rows: int, size: int, draw: torch.Generator) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(rows, generator=draw)
        yield from order.split(min(size, rows))[: max(1, rows // size)]


def _adam(model: nn.Module, course: TaskTraining) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=course.rate)


def _tested(scenario: Scenario, model: nn.Module) -> list[float]:
    return [task.accuracy(model) for task in scenario.tasks]


def _refuse_infinite(loss: Tensor, task: str) -> None:
    if not bool(torch.isfinite(loss)):
        raise InputError(f"task {task!r}: the loss is not finite any more; lower the rate")


def _line(progress: bool | str, what: str, found: Sequence[float]) -> str:
    label = f"{progress}: " if isinstance(progress, str) else ""
    return f"{label}after {what}: " + ", ".join(f"{100 * value:.1f}" for value in found) + " %"


def _warn_drowning(scenario: Scenario, memory: Memory | None) -> None:
    if memory is None or isinstance(memory, RehearsalMemory) or not scenario.drowning:
        return
    warnings.warn(
        "class-incremental with all outputs competing: each task teaches that no other class ever"
        " occurs, and a memory without rows cannot hold against it. Take masked=True, or a memory"
        " of rows (Replay, DER)",
        ForgettingWarning,
        stacklevel=3,
    )
