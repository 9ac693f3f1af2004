"""A log of one JSON object a line, which a resumed run cuts back to where it goes on."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from counterpoint.errors import InputError
from counterpoint.storage import JSONValue

__all__ = ["Log"]


class Log:
    """An append-only file of JSON lines.

    Args:
        path: the file; created when missing.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("ab")
        except OSError as error:
            raise self._refused(error) from error

    def append(self, line: Mapping[str, JSONValue]) -> None:
        """Write one line; it is in the file, whole, when this returns."""
        content = json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n"
        try:
            self._file.write(content.encode())
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from error

    def settle(self) -> int:
        """Flush to the disk; the length in bytes."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refused(error) from error
        return os.fstat(self._file.fileno()).st_size

    def cut(self, size: int, epochs: Iterable[Mapping[str, JSONValue]]) -> bool:
        """Drop what was written after a checkpoint.

        Args:
            size: the log's length when the checkpoint was written.
            epochs: the lines of the epochs, for a log that has lost some.

        Returns:
            False if the log was shorter than that, and was written anew from `epochs`.
        """
        if os.fstat(self._file.fileno()).st_size >= size:
            self._file.truncate(size)
            return True
        self._file.truncate(0)
        for line in epochs:
            self.append(line)
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _refused(self, error: OSError) -> InputError:
        return InputError(f"{self._path}: could not be written ({error.strerror})")
