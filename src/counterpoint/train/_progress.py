"""What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Protocol, runtime_checkable

from counterpoint.train._outcome import Row


@runtime_checkable
class Reporter(Protocol):
    """Told of steps, epochs and remarks, from its making until it is closed."""

    def step(self, step: int) -> None:
        """So many steps are done."""
        ...

    def row(self, row: Row, best: int | None) -> None:
        """An epoch is done; `best` is the best epoch so far."""
        ...

    def note(self, text: str) -> None:
        """Something a person should know."""
        ...

    def close(self) -> None:
        """The run has ended, however it did."""
        ...


@runtime_checkable
class Stream(Protocol):
    """A text file to write lines to."""

    def write(self, text: str, /) -> int:
        """Write."""
        ...

    def flush(self) -> None:
        """Send on what was written."""
        ...


class Silent:
    """Says nothing."""

    def step(self, step: int) -> None:
        """Nothing."""

    def row(self, row: Row, best: int | None) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """Plain lines for epochs, not more than one in so many seconds, and one for each remark.

    The first and the last epoch have a line whatever the time.
    """

    def __init__(self, epochs: int, stream: Stream, label: str = "", every: float = 2.0) -> None:
        self._epochs, self._stream, self._label, self._every = epochs, stream, label, every
        self._last = -every

    def step(self, step: int) -> None:
        """Nothing: a file has no use for a moving bar."""

    def row(self, row: Row, best: int | None) -> None:
        """One line, when it is time for one."""
        now = time.monotonic()
        # the first says that it runs, the last what came of it
        if row["epoch"] in (1, self._epochs) or now - self._last >= self._every:
            self._last = now
            self.note(_line(row, best, self._epochs, self._label))

    def note(self, text: str) -> None:
        """One line."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing: the stream is the caller's."""


class Bar:
    """A bar with the time that is left, before it the last epoch."""

    def __init__(self, epochs: int, total: int, label: str = "") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(label or "training", total=total)
        self._epochs, self._shown, self._label = epochs, 0.0, label
        self._bar.start()

    def step(self, step: int) -> None:
        """Move the bar, at most ten times a second."""
        now = time.monotonic()
        # drawing costs more than a step of a small network
        if now - self._shown > 0.1:
            self._shown = now
            self._bar.update(self._task, completed=step)

    def row(self, row: Row, best: int | None) -> None:
        """The text before the bar."""
        text = _line(row, best, self._epochs, self._label)
        self._bar.update(self._task, completed=row["step"], description=text)

    def note(self, text: str) -> None:
        """A line above the bar."""
        # no markup: a remark may hold brackets, which rich would take for its own
        self._bar.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def reporter(wanted: bool | str, epochs: int, total: int) -> Reporter:
    """A bar on a terminal, plain lines elsewhere (both on standard error), or nothing."""
    if wanted is False:
        return Silent()
    label = wanted if isinstance(wanted, str) else ""
    if sys.stderr.isatty():
        return Bar(epochs, total, label)
    return Lines(epochs, sys.stderr, label)


def _line(row: Row, best: int | None, epochs: int, label: str) -> str:
    parts = [*([label] if label else []), f"epoch {row['epoch']}/{epochs}"]
    parts.append(f"train {row['train']['score']:.5g}")
    if row["validation"] is not None:
        mark = " (best)" if best == row["epoch"] else ""
        parts.append(f"validation {row['validation']['score']:.5g}{mark}")
    parts.append(f"{row['seconds']:.1f} s")
    left = row["seconds"] * (epochs - row["epoch"]) / row["epoch"]
    # patience may end a run sooner, nothing makes it longer
    return "  ".join([*parts, f"at most {left:.0f} s left"] if left else parts)
