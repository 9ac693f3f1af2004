"""What a run tells the outside while it goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from counterpoint.train._outcome import Row


@dataclass(frozen=True)
class Moment:
    """Where a run is.

    Attributes:
        model: the model, to look at.
        epoch: 1 in the first.
        step: optimiser steps done.
        losses: the step's goals; reading one waits for the device.
        row: the epoch that has just ended; None at a step.
    """

    model: nn.Module
    epoch: int
    step: int
    losses: Mapping[str, Tensor]
    row: Row | None = None


@runtime_checkable
class Callback(Protocol):
    """Called after every step and every epoch; a True return asks the run to stop.

    What a callback remembers is not in the checkpoints.
    """

    def step_end(self, moment: Moment) -> bool:
        """After an optimiser step."""
        ...

    def epoch_end(self, moment: Moment) -> bool:
        """After an epoch and its validation."""
        ...
