"""Ctrl-C and SIGTERM: the first asks, the second insists."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interruption:
    """While the block runs, a first SIGINT or SIGTERM only sets `signal`; a second stops at once.

    Handlers can only be set in the main thread; elsewhere nothing is installed. The previous
    handlers come back at the end.

    Args:
        wanted: False installs nothing.
        heard: called once, at the first signal.

    Attributes:
        signal: the signal's number; 0 while none came.

    Raises:
        KeyboardInterrupt: at a second SIGINT.
        SystemExit: at a second SIGTERM, with status 143.
    """

    def __init__(self, *, wanted: bool, heard: Callable[[], None]) -> None:
        self.signal = 0
        self._heard = heard
        # signal.signal refuses elsewhere
        self._wanted = wanted and threading.current_thread() is threading.main_thread()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if self._wanted:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self.signal:
            self.signal = number
            self._heard()
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            # what a shell reports of a process that a signal ended
            raise SystemExit(128 + number)
