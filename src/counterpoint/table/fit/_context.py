"""Where a fit happens, and how it is stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from counterpoint.plain import StrPath
from counterpoint.table.fit._prepare import Announce


class Interrupted(RuntimeError):
    """The fit was asked to stop; with a folder it goes on when it is called again.

    Attributes:
        signal: number of the signal.
    """

    def __init__(self, signal: int) -> None:
        super().__init__("the fit was interrupted")
        self.signal = signal


@dataclass(frozen=True)
class Context:
    """Where a fit happens; nothing of it changes what is fitted.

    Attributes:
        name: the table's name, for messages and the report.
        folder: where checkpoints and the log go, so that a killed fit goes on; none: nowhere.
        command: what to type to go on, shown when the fit is interrupted.
        progress: whether to show progress.
        announce: called with the plan of columns and the split before the long work.
        sized: called with a sentence on the memory and time that the training takes, before it.
        fingerprint: identifies the table's content, so that a changed table is not resumed.
    """

    name: str = "table"
    folder: StrPath | None = None
    command: str = ""
    progress: bool = False
    announce: Announce | None = None
    sized: Callable[[str], object] | None = None
    fingerprint: str = ""

    def within(self, name: str) -> Path | None:
        """Where a part of the run keeps its checkpoints and log; None: nowhere."""
        return None if self.folder is None else Path(self.folder) / name
