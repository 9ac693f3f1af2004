"""One writer a folder: an advisory lock that the system releases when its holder dies."""

import fcntl
import os
import socket
from pathlib import Path

from counterpoint.errors import InputError
from counterpoint.plain import StrPath
from counterpoint.storage._filesystem import open_own


class Lock:
    """Hold `path` as a lock file for the length of a `with` block.

    The kernel drops the lock when the process ends, however it ends, so a lock is never stale.

    Raises:
        InputError: another process holds it (names the process and host), or it is a link.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        self._handle: int | None = None

    def __enter__(self) -> "Lock":
        handle = open_own(self.path, os.O_RDWR)
        try:
            # the kernel's lock, not the file's being there: it ends with the process
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise InputError(
                f"{self.path.parent}: in use by {holder}; wait for it to end"
            ) from None
        if not _same(handle, self.path):
            # its last holder removed the file between our opening and locking it
            os.close(handle)
            raise InputError(f"{self.path.parent}: was just removed by another process; try again")
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        self._handle = handle
        return self

    def __exit__(self, *error: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _same(handle: int, path: Path) -> bool:
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
