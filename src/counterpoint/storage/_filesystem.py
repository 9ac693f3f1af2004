"""The system calls of a save, behind one small class that fault tests can replace."""

import ctypes
import errno
import os
import re
import shutil
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path

from counterpoint.errors import InputError
from counterpoint.plain import StrPath

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_LEFTOVER = re.compile(r"\.counterpoint-(tmp|old)-([^/]*)-(\d+)-(.+)")


class FileSystem:
    """What a save asks of the file system; a test passes one that fails on purpose."""

    def make(self, path: Path) -> None:
        """Create an empty folder."""
        path.mkdir()

    def write(self, path: Path, content: bytes) -> None:
        """Write one new file and flush it to the disk."""
        # x: never into a file that is there, so never through a link either
        with path.open("xb") as file:
            file.write(content)
            file.flush()  # from Python's buffer to the system; fsync sees no further than that
            os.fsync(file.fileno())

    def sync(self, folder: Path) -> None:
        """Flush a folder's own entries (names) to the disk."""
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder its final name in one step."""
        old.replace(new)

    def swap(self, one: Path, other: Path) -> bool:
        """Exchange the names of two folders in one step; False where the system cannot.

        Linux's renameat2 with RENAME_EXCHANGE (3.15), which Python has no name for. There is no
        moment without a folder of either name, so no reader finds none and no kill leaves none.
        """
        call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if call is None:
            return False
        done: int = call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
        # file systems that cannot say so (EINVAL, ENOSYS); what else is wrong, renaming will say
        return done == 0

    def remove(self, path: Path) -> None:
        """Remove a file or a whole folder, whatever is left of it."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


DISK = FileSystem()
"""The real file system."""


def temporary(path: Path, purpose: str = "tmp") -> Path:
    """The name beside `path` under which this process prepares it."""
    # host and process: on a disk that machines share, nobody sweeps what another still writes
    name = f".counterpoint-{purpose}-{_host()}-{os.getpid()}-{path.name}"
    return path.with_name(name)


def refuse(path: Path, size: int, error: OSError) -> InputError:
    """The error of a save that the file system refused: path, bytes needed, bytes free, reason."""
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    reason = error.strerror or str(error)
    return InputError(
        f"{path}: could not be written ({reason}); it needs {size:,} bytes, {free:,} are free;"
        " nothing was changed"
    )


def write_file(path: StrPath, content: bytes, *, disk: FileSystem = DISK) -> None:
    """Write one file so that a reader sees the old content or the new, never a part.

    Raises:
        InputError: the disk is full or the folder cannot be written; the old file is intact.
    """
    path = Path(path)
    refuse_long(path)
    beside = temporary(path)
    try:
        # of a process that was killed between writing and renaming
        sweep(path.parent, only=path.name, disk=disk)
        disk.remove(beside)
        disk.write(beside, content)
        disk.rename(beside, path)
        disk.sync(path.parent)
    except OSError as error:
        with suppress(OSError):  # on a read-only disk removing fails, too, and there is nothing
            disk.remove(beside)
        raise refuse(path, len(content), error) from error


@contextmanager
def written_whole(path: StrPath, *, disk: FileSystem = DISK) -> Generator[BufferedWriter]:
    """A file to write piece by piece, which has its name only once the block has ended well.

    Raises:
        InputError: the disk is full or the folder cannot be written; the old file is intact.
    """
    path = Path(path)
    refuse_long(path)
    beside, written = temporary(path), 0
    try:
        sweep(path.parent, only=path.name, disk=disk)
        disk.remove(beside)
        with beside.open("xb") as file:
            yield file
            file.flush()
            written = file.tell()
            os.fsync(file.fileno())
        disk.rename(beside, path)
        disk.sync(path.parent)
    except OSError as error:
        raise refuse(path, written, error) from error
    finally:
        with suppress(OSError):  # also where the block failed: nothing is left half-written
            disk.remove(beside)


def put_in_place(finished: Path, path: Path, *, disk: FileSystem = DISK) -> None:
    """Give a finished file or folder its final name; what had the name is then removed.

    Raises:
        OSError: the file system refused; what had the name has it still.
    """
    aside = temporary(path, "old")
    if path.is_dir() and disk.swap(finished, path):
        disk.sync(path.parent)
        disk.remove(finished)  # the old one, under the new one's name
        return
    try:
        # A folder that is not empty cannot be renamed over (POSIX rename): where the system cannot
        # swap two names the old one goes aside first; killed between the two renames, `sweep` puts
        # it back.
        if path.is_dir():
            disk.rename(path, aside)
        disk.rename(finished, path)
        disk.sync(path.parent)
    except OSError:
        if aside.exists() and not path.exists():
            disk.rename(aside, path)
        raise
    disk.remove(aside)


def refuse_long(path: Path) -> None:
    """Refuse a name that is too long for the one under which it is prepared.

    Raises:
        InputError: says how long it may be.
    """
    longest = 255  # bytes of a name on every file system of Linux
    for purpose in ("tmp", "old"):
        over = len(os.fsencode(temporary(path, purpose).name)) - longest
        if over > 0:
            most = len(os.fsencode(path.name)) - over
            raise InputError(
                f"{path}: the name is too long; at most {most} bytes can be written here"
            )


def set_aside(path: Path) -> str | None:
    """The name under which an earlier version of `path` waits, set aside on another machine."""
    for other in sorted(path.parent.iterdir()) if path.parent.is_dir() else []:
        match = _LEFTOVER.fullmatch(other.name)
        if match is not None and match[1] == "old" and match[4] == path.name:
            return other.name
    return None


def open_own(path: Path, flags: int) -> int:
    """Open a file of ours for writing; never through a link, which may lead anywhere.

    Raises:
        InputError: it is a link.
        OSError: it cannot be opened.
    """
    try:
        return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{path}: is a link, and links are not written through") from None
        raise


def refuse_links(folder: Path) -> None:
    """Refuse a folder of ours in which something is a link.

    Raises:
        InputError: names the link.
    """
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if entry.is_symlink():
            raise InputError(f"{entry}: is a link, and links are not followed; remove it")


def sweep(parent: StrPath, *, only: str = "", disk: FileSystem = DISK) -> list[str]:
    """Clear what killed writers of this machine left; an old version set aside is put back.

    Args:
        parent: the folder to look into.
        only: the name whose leftovers are meant; empty: all of them.
        disk: the file system.

    Returns:
        The names that were removed or restored.
    """
    parent, swept = Path(parent), list[str]()
    for path in sorted(parent.iterdir()) if parent.is_dir() else []:
        match = _LEFTOVER.fullmatch(path.name)
        if match is None or match[2] != _host() or _alive(int(match[3])):
            continue
        if only not in ("", match[4]):
            continue
        target = path.with_name(match[4])
        if match[1] == "old" and not target.exists():
            disk.rename(path, target)
        else:
            disk.remove(path)
        swept.append(path.name)
    return swept


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it lives, and is somebody else's
    return True
