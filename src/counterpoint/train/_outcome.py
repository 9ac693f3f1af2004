"""What a training run comes back with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from torch import Tensor

from counterpoint.errors import Ending, InputError
from counterpoint.train._balance_log import BalanceLog


class FitEnding(Ending):
    """How a run of `fit` ended."""

    FINISHED = "all epochs were run"
    EARLY = "the validation score stopped improving"
    STOPPED = "a callback asked to stop"
    INTERRUPTED = "a signal asked to stop; the run can go on from where it is"


class Row(TypedDict):
    """One epoch.

    Attributes:
        epoch: 1 for the first.
        step: optimiser steps so far.
        rate: highest learning rate of the epoch's last step.
        seconds: time of training so far.
        train: "score" and each goal, averaged over the epoch's rows as they were trained on.
        validation: the same on the validation source at the epoch's end; None without one.
    """

    epoch: int
    step: int
    rate: float
    seconds: float
    train: dict[str, float]
    validation: dict[str, float] | None


class NonFiniteError(InputError):
    """A goal, or a weight, is no longer a finite number; says which, and where it happened."""


@dataclass(frozen=True)
class Fit:
    """What `fit` did. The weights are in the model: the best ones, where there was validation.

    Attributes:
        history: one `Row` an epoch.
        status: how it ended.
        best_epoch: the epoch of the lowest validation score; None without validation. Of several
            models, the last of `best_epochs`.
        best_epochs: that of each model.
        step: optimiser steps done.
        seconds: time of training, over all restarts.
        notes: what was worth saying on the way (resumed, stepped back to an older checkpoint).
        signal: number of the signal that interrupted; 0: none.
        folder: the run folder, if there is one.
        balance: how the goals shared the steps; None without a balancer.
        moments: what the optimiser remembered of each weight at the end, ``weight/moment``, for
            `fit(..., after=)` to go on with.
    """

    history: tuple[Row, ...]
    status: FitEnding
    best_epoch: int | None
    step: int
    seconds: float
    notes: tuple[str, ...] = ()
    signal: int = 0
    folder: Path | None = None
    balance: BalanceLog | None = None
    best_epochs: tuple[int, ...] = ()
    moments: Mapping[str, Tensor] = field(
        default_factory=dict[str, Tensor], repr=False, compare=False
    )
