"""A data set cut into pieces, and every reason why it cannot be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.continual.scenarios._inputs import InputTransform
from counterpoint.continual.scenarios._task import Rows
from counterpoint.errors import InputError, nearest
from counterpoint.seeding import generator


@dataclass(frozen=True, eq=False)
class TaskData:
    """What becomes a task: rows with classes from 0.

    Attributes:
        name: of the task.
        train: inputs and classes from 0.
        test: the same, held out.
        classes: how many there are.
        view: what is done to the inputs.
    """

    name: str
    train: Rows
    test: Rows
    classes: int
    view: InputTransform | None = None


def kept(rows: Rows, what: str) -> Rows:
    """The rows, seen to be inputs and class numbers."""
    x, y = rows
    if y.ndim != 1 or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise InputError(
            f"{what}: class numbers must be integers of shape (rows,), found {y.dtype} of shape"
            f" {tuple(y.shape)}"
        )
    if len(x) != len(y) or not len(y):
        raise InputError(f"{what}: expected rows, found {len(x)} inputs and {len(y)} class numbers")
    return x, y.long()


def classes_of(train: Rows) -> list[int]:
    """All class numbers, in order."""
    return train[1].unique().tolist()


def grouped(
    classes: Sequence[int], groups: int | Sequence[Sequence[int]], seed: int | None
) -> list[list[int]]:
    """The classes of each task: so many of them, shuffled where there is a seed, or as given."""
    if not isinstance(groups, int):
        if seed is not None:
            raise InputError("seed: groups are given class by class, so that there is no order")
        _refuse_strange(classes, groups)
        return [list(group) for group in groups]
    if groups < 1 or len(classes) % groups:
        raise InputError(
            f"groups: {len(classes)} classes cannot be cut into tasks of {groups}; give the classes"
            " of each task"
        )
    order = list(range(len(classes)))
    if seed is not None:
        order = torch.randperm(len(classes), generator=generator(seed)).tolist()
    chosen = [classes[place] for place in order]
    return [chosen[at : at + groups] for at in range(0, len(chosen), groups)]


def numbered(rows: Rows, group: Sequence[int]) -> Rows:
    """The rows of some classes, numbered from 0 in their order."""
    x, y = rows
    # -1 marks rows of classes that are in no group
    places = torch.full((len(y),), -1, device=y.device)
    for number, one in enumerate(group):
        places[y == one] = number
    known = places >= 0
    # the usual case shares the inputs
    return (x, places) if bool(known.all()) else (x[known.to(x.device)], places[known])


def blocks_of(
    train: Rows, test: Rows, column: int | tuple[Tensor, Tensor], blocks: int | None
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The name of each block, and which training and test rows are in it."""
    values = _values(train, test, column)
    if blocks is None:
        for one in values[0].unique().tolist():
            yield f"{one:g}", values[0] == one, values[1] == one
        return
    if blocks < 1:
        raise InputError(f"blocks: at least one is needed, found {blocks}")
    at = torch.linspace(0, 1, blocks + 1, dtype=torch.float64)[1:-1]
    # of training rows alone: test rows must not decide where a task begins
    cuts = torch.quantile(values[0], at.to(values[0].device))
    # a value on a cut belongs to the later block, in training and test rows alike
    where = [torch.bucketize(one, cuts, right=True) for one in values]
    ends = [f"{cut:.3g}" for cut in cuts.tolist()]
    for number in range(blocks):
        name = " to ".join(ends[max(number - 1, 0) : number + 1])
        name = f"up to {name}" if number == 0 else name
        name = f"from {name}" if number == blocks - 1 else name
        yield name if ends else "all", where[0] == number, where[1] == number


def two_of_each(pieces: Sequence[TaskData]) -> None:
    """Refuse a piece without training or test rows, or with training rows of one class."""
    for piece in pieces:
        for what, rows in (("training", piece.train), ("test", piece.test)):
            if not len(rows[1]):
                raise InputError(f"task {piece.name!r}: expected {what} rows, found none")
        found = piece.train[1].unique()
        if len(found) < 2:
            raise InputError(
                f"task {piece.name!r}: expected at least two classes, found"
                f" {len(piece.train[1])} training rows all of one"
            )


def _refuse_strange(classes: Sequence[int], groups: Sequence[Sequence[int]]) -> None:
    seen = set[int]()
    for one in (one for group in groups for one in group):
        if one not in classes:
            known = nearest(str(one), map(str, classes))
            raise InputError(f"groups: no training row is of class {one}{known}")
        if one in seen:
            raise InputError(f"groups: class {one} is in two tasks, or twice in one")
        seen.add(one)


def _values(train: Rows, test: Rows, column: int | tuple[Tensor, Tensor]) -> list[Tensor]:
    if isinstance(column, int):
        if train[0].ndim != 2 or not -train[0].shape[1] <= column < train[0].shape[1]:
            raise InputError(
                f"column: expected a place in inputs (rows, columns), found {column} for inputs of"
                f" shape {tuple(train[0].shape)}"
            )
        column = train[0][:, column], test[0][:, column]
    for what, found, rows in zip(("training", "test"), column, (train, test), strict=True):
        if found.shape != rows[1].shape or not bool(found.double().isfinite().all()):
            raise InputError(
                f"column: expected a finite number for each of {len(rows[1])} {what} rows, found"
                f" shape {tuple(found.shape)}"
            )
    return [found.double() for found in column]
