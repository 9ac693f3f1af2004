"""Task after task by `counterpoint.train.fit`, with any memory or none."""

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass

from torch import nn

from counterpoint.balance import Balancer
from counterpoint.continual._memory import Memory
from counterpoint.continual._warning import ForgettingWarning
from counterpoint.continual.rows._rehearsal import RehearsalMemory
from counterpoint.continual.scenarios._metrics import Accuracies, stacked
from counterpoint.continual.scenarios._scenario import Scenario
from counterpoint.continual.scenarios._sequence import (
    STANDARD,
    TaskMixture,
    TaskSequence,
    TaskTraining,
)
from counterpoint.errors import InputError
from counterpoint.train import NonFiniteError, Training, fit
from counterpoint.train._progress import reporter


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
    training: TaskTraining = STANDARD,
    *,
    balancer: Balancer | None = None,
    progress: bool | str = True,
) -> Run:
    """Learn the tasks of a scenario one after the other, by `counterpoint.train.fit`.

    After each, all tasks are tested. What the memory costs is a term of the loss, or with a
    balancer a goal of its own, ``"remember"`` beside ``"loss"``.

    Args:
        scenario: the tasks.
        model: is trained in place; its output has `Scenario.outputs` columns.
        memory: consolidated after each task; none is naive fine-tuning, the floor.
        training: steps, batches, rate.
        balancer: lets the task and the memory share each step.
        progress: show it; or the text to show with it.

    Raises:
        InputError: an output of another width, or a loss that is not finite (names the task).

    Warns:
        ForgettingWarning: a class-incremental scenario in which all outputs compete, and a memory
            that holds no rows.
    """
    _warn_drowning(scenario, memory)
    tasks, tested = scenario.tasks, [_tested(scenario, model)]
    shown = reporter(progress, len(tasks), len(tasks) * training.iterations)

    def ended(number: int) -> None:
        tested.append(_tested(scenario, model))
        what = f"task {number + 1} of {len(tasks)} ({tasks[number].name})"
        shown.note(_line(progress, what, tested[-1]))

    sequence = TaskSequence(
        tasks,
        model,
        memory,
        training,
        apart=balancer is not None,
        stepped=shown.step,
        ended=ended,
    )
    model.train()
    with closing(shown):
        # a task is an epoch: one run lets Adam's moments go on, and a run a task begins them anew
        for epochs in [1] * len(tasks) if training.reset else [len(tasks)]:
            _fit(model, sequence, training, epochs, balancer)
    accuracies = stacked(scenario.names, tested)
    return Run(accuracies, tuple(sequence.learning), tuple(sequence.consolidating))


def joint(
    scenario: Scenario,
    model: nn.Module,
    training: TaskTraining = STANDARD,
    *,
    progress: bool | str = True,
) -> Run:
    """Learn all tasks at once, as many steps as for one alone: the ceiling.

    Every batch has rows of every task, under the outputs that compete when it is asked.

    Args:
        scenario: the tasks.
        model: is trained in place.
        training: steps, batches, rate.
        progress: show it.

    Raises:
        InputError: as `run`.
    """
    # the mode in which a model is left after `run`, too; `fit` puts back the one it finds
    before = _tested(scenario, model)
    model.train()
    shown = reporter(progress, 1, training.iterations)
    with closing(shown):
        start = time.perf_counter()
        _fit(model, TaskMixture(scenario.tasks, training, shown.step), training)
        seconds = time.perf_counter() - start
        after = _tested(scenario, model)
        shown.note(_line(progress, f"all {len(scenario.tasks)} tasks at once", after))
    return Run(stacked(scenario.names, [before, after]), (seconds,), ())


def compare(
    scenario: Scenario,
    model: nn.Module,
    memories: Mapping[str, Memory],
    training: TaskTraining = STANDARD,
    *,
    progress: bool = True,
) -> dict[str, Run]:
    """Memories side by side, with the ceiling and the floor: joint training and none at all.

    Args:
        scenario: the tasks.
        model: where all begin; each learns in a copy, on the same batches.
        memories: name -> memory, each with nothing in it yet.
        training: steps, batches, rate.
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
        "joint": joint(scenario, deepcopy(model), training, progress=progress and "joint"),
        "none": run(scenario, deepcopy(model), None, training, progress=progress and "none"),
    }
    for name, memory in memories.items():
        found[name] = run(scenario, deepcopy(model), memory, training, progress=progress and name)
    return found


def _fit(
    model: nn.Module,
    source: TaskSequence | TaskMixture,
    training: TaskTraining,
    epochs: int = 1,
    balancer: Balancer | None = None,
) -> None:
    """Train by the loop that everything else is trained by."""
    # said in full: published results are those of plain Adam, without decay or schedule
    settings = Training(
        epochs=epochs,
        batch_size=training.batch_size,
        optimiser="adam",
        rate=training.rate,
        schedule="constant",
        weight_decay=0.0,
        seed=training.seed,
    )
    try:
        fit(
            model,
            source.goals,
            source,
            settings,
            balancer=balancer,
            callbacks=[source],
            progress=False,
        )
    except NonFiniteError as error:
        raise InputError(
            f"task {source.name!r}: the loss is not finite any more; lower the rate"
        ) from error


def _tested(scenario: Scenario, model: nn.Module) -> list[float]:
    return [task.accuracy(model) for task in scenario.tasks]


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
