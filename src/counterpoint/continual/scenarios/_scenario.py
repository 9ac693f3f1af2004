"""Scenarios: one labelled data set as a sequence of tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.continual.scenarios._inputs import InputTransform, Permuted, Rotated
from counterpoint.continual.scenarios._task import Rows, Task
from counterpoint.continual.scenarios._task_data import (
    TaskData,
    blocks_of,
    classes_of,
    grouped,
    kept,
    numbered,
    two_of_each,
)
from counterpoint.errors import InputError, one_of
from counterpoint.seeding import generator

KINDS = ("task", "domain", "class")
"""What is known, and what is asked, when a row comes."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """Tasks in sequence, and the kind that says which outputs compete (van de Ven et al. 2022).

    ========= ========================= ======================= ==================================
    kind      outputs                   asked                   so it can show
    ========= ========================= ======================= ==================================
    `task`    of its own for each task  which of the task's     forgetting in shared layers only
    `domain`  the same for all tasks    which, task not told    forgetting, and mere confusion
    `class`   of its own for each task  which of all            whether tasks are told apart
    ========= ========================= ======================= ==================================

    In a class-incremental scenario all outputs compete from the start, so that training says in
    every row that the classes of the other tasks do not occur; with ``masked`` only the current
    task's compete while it is learnt, and all when it is asked.

    Attributes:
        kind: see above.
        tasks: in order.
        outputs: what the network must have.
        masked: see above.
    """

    kind: str
    tasks: tuple[Task, ...]
    outputs: int
    masked: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tasks."""
        return tuple(task.name for task in self.tasks)

    @property
    def drowning(self) -> bool:
        """Whether learning a task pushes down the outputs of all others."""
        return self.kind == "class" and not self.masked and len(self.tasks) > 1

    @classmethod
    def by_class(
        cls,
        train: Rows,
        test: Rows,
        groups: int | Sequence[Sequence[int]] = 2,
        *,
        kind: str = "task",
        masked: bool = False,
        seed: int | None = None,
    ) -> "Scenario":
        """A task a group of classes: split MNIST, or the digits 0/1 and then 2/3.

        Args:
            train: inputs and class numbers (any integers).
            test: the same, held out.
            groups: the classes of each task, rows of all others being left out; or how many a task
                has.
            kind: of the scenario.
            masked: see `Scenario`.
            seed: of the order of classes, where `groups` is a number; none keeps theirs.

        Raises:
            InputError: rows that do not fit, classes that do not divide, are unknown or in two
                groups, a task without rows or of one class (names it).

        >>> x, y = torch.zeros(8, 1), torch.tensor([0, 1, 2, 3] * 2)
        >>> digits = Scenario.by_class((x, y), (x, y), kind="class", masked=True)
        >>> digits.names, digits.outputs, digits.tasks[1].learning, digits.tasks[1].answering
        (('0/1', '2/3'), 4, (2, 3), (0, 1, 2, 3))
        """
        train, test = kept(train, "train"), kept(test, "test")
        pieces = [
            TaskData(
                "/".join(map(str, group)),
                numbered(train, group),
                numbered(test, group),
                len(group),
            )
            for group in grouped(classes_of(train), groups, seed)
        ]
        return _assembled(kind, masked, pieces)

    @classmethod
    def by_permutation(
        cls,
        train: Rows,
        test: Rows,
        tasks: int = 10,
        *,
        kind: str = "domain",
        masked: bool = False,
        seed: int = 0,
    ) -> "Scenario":
        """The same rows with their inputs in another order each time: permuted MNIST.

        The first task has them as they are (Kirkpatrick et al. 2017). Rows are stored once.

        Args:
            train: inputs and class numbers.
            test: the same, held out.
            tasks: how many.
            kind: of the scenario.
            masked: see `Scenario`.
            seed: of the orders.

        Raises:
            InputError: rows that do not fit, or fewer than one task.
        """
        draw, inputs = generator(seed), train[0][0].numel() if len(train[0]) else 0
        orders = [torch.arange(inputs)]
        orders += [torch.randperm(inputs, generator=draw) for _ in range(tasks - 1)]
        views = {f"order {place}": Permuted(order) for place, order in enumerate(orders[:tasks])}
        return _viewed(kind, masked, train, test, views)

    @classmethod
    def by_rotation(
        cls,
        train: Rows,
        test: Rows,
        degrees: Sequence[float],
        *,
        shape: tuple[int, int] | None = None,
        kind: str = "domain",
        masked: bool = False,
    ) -> "Scenario":
        """The same pictures, turned by an angle a task.

        Args:
            train: pictures and class numbers.
            test: the same, held out.
            degrees: counter-clockwise, of each task.
            shape: height and width, where pictures are flat rows.
            kind: of the scenario.
            masked: see `Scenario`.

        Raises:
            InputError: rows that do not fit or are no pictures, or no angle.
        """
        views = {f"{angle:g}°": Rotated(float(angle), shape) for angle in degrees}
        if len(views) != len(degrees):
            raise InputError(f"degrees: an angle occurs twice, found {list(degrees)}")
        # rows that are no pictures are refused here, not in the middle of a run
        for view in views.values():
            view(train[0][:1])
        return _viewed(kind, masked, train, test, views)

    @classmethod
    def by_column(
        cls,
        train: Rows,
        test: Rows,
        column: int | tuple[Tensor, Tensor],
        blocks: int | None = None,
        *,
        kind: str = "domain",
        masked: bool = False,
    ) -> "Scenario":
        """A task a value of a column (a country, a sensor), or a stretch of one (time).

        Args:
            train: inputs and class numbers.
            test: the same, held out.
            column: of the inputs, by place; or the values of training and test rows, which then
                need not be among the inputs.
            blocks: cut at the quantiles of the training rows into so many stretches, in order; none
                means a task for each value, in order.
            kind: of the scenario.
            masked: see `Scenario`.

        Raises:
            InputError: a column that is not there or not a number everywhere, a task without rows
                or of one class (names it).

        >>> x, y = torch.arange(12.0)[:, None], torch.tensor([0, 1] * 6)
        >>> Scenario.by_column((x, y), (x, y), 0, blocks=3).names
        ('up to 3.67', '3.67 to 7.33', 'from 7.33')
        """
        train, test = kept(train, "train"), kept(test, "test")
        classes = classes_of(train)
        pieces = [
            TaskData(
                name,
                numbered(_where(train, here), classes),
                numbered(_where(test, there), classes),
                len(classes),
            )
            for name, here, there in blocks_of(train, test, column, blocks)
        ]
        return _assembled(kind, masked, pieces)


def _where(rows: Rows, places: Tensor) -> Rows:
    return rows[0][places], rows[1][places]


def _viewed(
    kind: str,
    masked: bool,
    train: Rows,
    test: Rows,
    views: Mapping[str, InputTransform],
) -> Scenario:
    train, test = kept(train, "train"), kept(test, "test")
    classes = classes_of(train)
    rows = numbered(train, classes), numbered(test, classes)
    pieces = [TaskData(name, *rows, len(classes), view) for name, view in views.items()]
    return _assembled(kind, masked, pieces)


def _assembled(kind: str, masked: bool, pieces: Sequence[TaskData]) -> Scenario:
    """Give each piece its outputs."""
    kind = one_of("kind", kind, KINDS)
    if masked and kind != "class":
        raise InputError(
            f"masked: is for kind='class', found {kind!r}: task-incremental outputs are masked"
            " anyway, domain-incremental ones are shared"
        )
    if not pieces:
        raise InputError("scenario: expected at least one task, found none")
    two_of_each(pieces)
    # one head for all in the domain-incremental kind; otherwise outputs lie side by side
    own = kind != "domain"
    width = sum(piece.classes for piece in pieces) if own else max(p.classes for p in pieces)
    tasks, start = list[Task](), 0
    for piece in pieces:
        outputs = tuple(range(start, start + piece.classes))
        everything = tuple(range(width))
        tasks.append(
            Task(
                name=piece.name,
                train=(piece.train[0], piece.train[1] + start),
                test=(piece.test[0], piece.test[1] + start),
                outputs=outputs,
                learning=everything if kind == "class" and not masked else outputs,
                answering=everything if kind == "class" else outputs,
                width=width,
                view=piece.view,
            )
        )
        start += piece.classes if own else 0
    return Scenario(kind, tuple(tasks), width, masked)
