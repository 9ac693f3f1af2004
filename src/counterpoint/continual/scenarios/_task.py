"""One task of a sequence: its rows, and which outputs compete for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from counterpoint.continual.scenarios._inputs import InputTransform
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Categorical, SubsetCategorical
from counterpoint.parameters import device_of, evaluating

Rows: TypeAlias = tuple[Tensor, Tensor]
"""Inputs, one row an example, and what they are."""


@dataclass(frozen=True, eq=False)
class Batches:
    """Rows in batches, in order; may be iterated any number of times, and holds one at a time."""

    rows: Rows
    size: int
    view: InputTransform | None

    def __len__(self) -> int:
        return ceil(len(self.rows[1]) / self.size)

    def __iter__(self) -> Iterator[Batch]:
        for x, y in zip(*(part.split(self.size) for part in self.rows), strict=True):
            # seen by the task batch by batch: the whole data set changed would be a second copy
            yield _batch(x, y, self.view)


@dataclass(frozen=True, eq=False)
class Task:
    """One task of a `Scenario`.

    Attributes:
        name: what a table calls it.
        train: inputs, as stored, and for each row the output that should win.
        test: the same, held out.
        outputs: of its own classes.
        learning: those that compete while it is learnt.
        answering: those that compete when it is asked.
        width: outputs of the network in all.
        view: what the task does to stored inputs; `batch` and `batches` apply it.
    """

    name: str
    train: Rows
    test: Rows
    outputs: tuple[int, ...]
    learning: tuple[int, ...]
    answering: tuple[int, ...]
    width: int
    view: InputTransform | None = None

    def __len__(self) -> int:
        """Training rows: what `penalty` calls ``rows``."""
        return len(self.train[1])

    @cached_property
    def likelihood(self) -> Categorical:
        """Of the outputs that compete while it is learnt."""
        return _over(self.learning, self.width)

    @cached_property
    def asked(self) -> Categorical:
        """Of the outputs that compete when it is asked."""
        return _over(self.answering, self.width)

    def batch(self, places: Int64[Tensor, " some"]) -> Batch:
        """Some of the training rows, as the task sees them."""
        x, y = (part[places.to(part.device)] for part in self.train)
        return _batch(x, y, self.view)

    def batches(self, size: int = 1000) -> Batches:
        """All training rows in batches: what `consolidate` takes."""
        return Batches(self.train, size, self.view)

    def logits(self, output: Float[Tensor, "rows outputs"]) -> Float[Tensor, "rows outputs"]:
        """The outputs, minus infinity where they do not compete when the task is asked.

        Args:
            output: of all outputs.

        Raises:
            InputError: not as many outputs as the scenario has.
        """
        if output.ndim != 2 or output.shape[1] != self.width:
            raise InputError(
                f"model: the scenario needs outputs of shape (rows, {self.width}), found"
                f" {tuple(output.shape)}"
            )
        return output.masked_fill(~self.asked.used(output), -torch.inf)

    def accuracy(self, model: nn.Module, size: int = 1000) -> float:
        """The share of test rows whose output wins; the model's modes are put back.

        Args:
            model: called in evaluation mode, on its own device.
            size: rows a call.
        """
        device = device_of(model)
        # added up on the device: one wait for it a task, not one a batch
        right = torch.zeros((), dtype=torch.long, device=device)
        with evaluating(model), torch.no_grad():
            for stored in Batches(self.test, size, self.view):
                batch = stored.to(device)
                right += (self.logits(batch.call(model)).argmax(1) == batch["y"]).sum()
        return int(right) / len(self.test[1])


def _batch(x: Tensor, y: Tensor, view: InputTransform | None) -> Batch:
    return Batch.of(x if view is None else view(x), target=y)


def _over(outputs: tuple[int, ...], width: int) -> Categorical:
    # a mask over everything would cost an index a step for nothing
    return Categorical() if len(outputs) == width else SubsetCategorical(outputs)
