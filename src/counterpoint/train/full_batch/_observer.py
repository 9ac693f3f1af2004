"""After every iteration: the history, progress, the callback, and whether to go on."""

import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from counterpoint.train._callbacks import Moment
from counterpoint.train._outcome import Row
from counterpoint.train._progress import Reporter
from counterpoint.train.full_batch._objective import Objective, Point
from counterpoint.train.full_batch._outcome import Ended, Iterate, MinimizeEnding

Look: TypeAlias = Callable[[Moment], object]
"""Called after every iteration; a return that is true (of any type) asks to stop."""

_STILL = 30  # a trust region that shrinks fourfold so often is below the resolution of float64


class IterateObserver:
    """Told of every iterate by all methods alike, so that all stop by the same rules.

    Attributes:
        history: an `Iterate` for the start and each iteration.
    """

    def __init__(
        self,
        objective: Objective,
        model: nn.Module,
        report: Reporter,
        *,
        iterations: int,
        tolerance: float,
        callback: Look | None,
    ) -> None:
        self.history: list[Iterate] = []
        self._objective, self._model, self._report = objective, model, report
        self._iterations, self._tolerance, self._callback = iterations, tolerance, callback
        self._began = time.monotonic()
        self._last: Point | None = None
        self._still = 0

    @property
    def seconds(self) -> float:
        """Since the observer was made."""
        return time.monotonic() - self._began

    @property
    def iterations(self) -> int:
        """Done so far."""
        return len(self.history) - 1

    def start(self, point: Point) -> None:
        """Take in the first point.

        Raises:
            Ended: it is a minimum already.
        """
        self._last = point
        self._note(point)
        if point.slope <= self._tolerance:
            raise Ended(MinimizeEnding.CONVERGED)

    def __call__(self, where: Float64[np.ndarray, " total"]) -> None:
        """Take in an iterate; scipy calls this as its callback.

        Raises:
            Ended: there is a reason to stop.
        """
        point = self._objective.at(where)
        self._note(point)
        self._tell(point)
        if point.slope <= self._tolerance:
            raise Ended(MinimizeEnding.CONVERGED)
        if not point.finite:
            raise Ended(MinimizeEnding.NON_FINITE)
        # trust regions call back where they refused a step, too
        moved = self._last is None or not np.array_equal(point.where, self._last.where)
        self._still = 0 if moved else self._still + 1
        self._last = point
        if self._still == _STILL:
            raise Ended(MinimizeEnding.NO_DECREASE)
        if self.iterations >= self._iterations:
            raise Ended(MinimizeEnding.EXHAUSTED)

    def _note(self, point: Point) -> None:
        made = self._objective.evaluations.gradients
        iteration = len(self.history)
        self.history.append(Iterate(iteration, point.score, point.slope, made, self.seconds))
        if iteration:
            row = Row(
                epoch=iteration,
                step=iteration,
                rate=0.0,
                seconds=self.seconds,
                train={"score": point.score, **point.goals},
                validation=None,
            )
            self._report.row(row, None)

    def _tell(self, point: Point) -> None:
        if self._callback is None:
            return
        # the search may have left the model at a trial point
        self._objective.put(point.where)
        losses = {
            name: torch.tensor(value, dtype=torch.float64) for name, value in point.goals.items()
        }
        moment = Moment(self._model, self.iterations, self.iterations, losses)
        if self._callback(moment):
            raise Ended(MinimizeEnding.STOPPED)
