"""Sums of the goals over an epoch, kept without waiting for the device at every step."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from counterpoint.train._outcome import NonFiniteError

# few enough that an epoch notices NaN early, many enough that waits for the device vanish
_EVERY = 128


class Meter:
    """Goal values of the steps since the last fold, and float64 sums of those before.

    The values of a step are appended, nothing more; every 128 steps (and where a log line is due)
    they are summed and checked in one go. The folds fall on fixed steps, so the sums do not depend
    on when checkpoints are written.

    Attributes:
        names: the goals, known after the first step.
    """

    def __init__(self, log_every: int) -> None:
        self.names: tuple[str, ...] = ()
        self._log_every = log_every
        self._rows: list[int] = []
        self._values: list[list[Tensor]] = []
        self._epoch: list[float] = []
        self._epoch_rows = 0
        self._line: list[float] = []
        self._line_rows = 0

    def add(self, rows: int, values: list[Tensor]) -> None:
        """Take in one step; the values stay on their device."""
        self._rows.append(rows)
        self._values.append(values)

    def due(self, batches: int) -> bool:
        """Whether the step that ended batch number `batches` of the epoch is a fold."""
        return batches % _EVERY == 0 or self.line_due(batches)

    def line_due(self, batches: int) -> bool:
        """Whether a log line is due after batch number `batches` of the epoch."""
        return self._log_every > 0 and batches % self._log_every == 0

    def fold(self, names: tuple[str, ...], epoch: int, step: int) -> None:
        """Sum what was taken in, and check it."""
        self.names = names
        if not self._values:
            return
        values = self._table()
        if not torch.isfinite(values).all():
            raise _blame(values, names, epoch, step - len(self._rows))
        # a short last batch counts by its rows
        weights = torch.tensor(self._rows, dtype=torch.float64)
        sums = (weights.unsqueeze(1) * values).sum(0).tolist()
        self._epoch = _add(self._epoch, sums)
        self._line = _add(self._line, sums)
        self._epoch_rows += sum(self._rows)
        self._line_rows += sum(self._rows)
        self._rows, self._values = [], []

    def check(self, names: tuple[str, ...], epoch: int, step: int) -> None:
        """Refuse values that are not finite, without folding (before a checkpoint)."""
        if self._values:
            values = self._table()
            if not torch.isfinite(values).all():
                raise _blame(values, names, epoch, step - len(self._rows))

    def epoch(self) -> dict[str, float]:
        """The epoch's averages; the sums start again."""
        found = averages(self.names, self._epoch, self._epoch_rows)
        self._epoch, self._epoch_rows, self._line, self._line_rows = [], 0, [], 0
        return found

    def line(self) -> dict[str, float]:
        """The averages since the last log line; those sums start again."""
        found = averages(self.names, self._line, self._line_rows)
        self._line, self._line_rows = [], 0
        return found

    def state(self) -> dict[str, Tensor]:
        """Everything taken in, as tensors."""
        pending = self._table() if self._values else torch.zeros(0, 0, dtype=torch.float64)
        return {
            "rows": torch.tensor(self._rows, dtype=torch.int64),
            "values": pending,
            "epoch": torch.tensor([*self._epoch, self._epoch_rows], dtype=torch.float64),
            "line": torch.tensor([*self._line, self._line_rows], dtype=torch.float64),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        self._rows = state["rows"].tolist()
        self._values = [list(row.unbind()) for row in state["values"]] if self._rows else []
        *self._epoch, epoch_rows = state["epoch"].tolist()
        *self._line, line_rows = state["line"].tolist()
        self._epoch_rows, self._line_rows = int(epoch_rows), int(line_rows)

    def _table(self) -> Tensor:
        # one copy to the host for all steps since the last fold
        flat = torch.stack([value for values in self._values for value in values])
        return flat.to("cpu", torch.float64).view(len(self._values), -1)


def averages(names: Sequence[str], sums: Sequence[float], rows: int) -> dict[str, float]:
    """The score (mean of the goals) and each goal, from sums over rows."""
    goals = {name: total / rows for name, total in zip(names, sums, strict=True)}
    return {"score": math.fsum(goals.values()) / len(goals), **goals}


def _add(sums: list[float], more: list[float]) -> list[float]:
    return [a + b for a, b in zip(sums, more, strict=True)] if sums else more


def _blame(values: Tensor, names: Sequence[str], epoch: int, before: int) -> NonFiniteError:
    step, goal = torch.isfinite(values).logical_not().nonzero()[0].tolist()
    return NonFiniteError(
        f"goal {names[goal]!r}: not finite ({values[step, goal].item()}) at epoch {epoch}, step"
        f" {before + step + 1}; lower the rate, clip the gradient, or look for values that are not"
        " finite in the data"
    )
