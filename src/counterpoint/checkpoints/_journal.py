"""Which parts of a file are written, kept beside it: a file of records for each process.

A record is appended in one call and has its own sum, so that it is in the file whole, or cut off at
the end and seen to be.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_HEAD = struct.Struct("<III")  # the record's own sum; the part's number; the sum of its bytes
_NAME = "journal-{}"


class Journal:
    """The records of one process; `records` reads those of all.

    Args:
        folder: where it is.
        member: the process's number.
        payload: bytes that go along with each record.
    """

    def __init__(self, folder: Path, member: int, payload: int) -> None:
        self._folder, self._payload = folder, payload
        self._file, self._handle = folder / _NAME.format(member), -1

    def open(self) -> None:
        """Go on where the last one ended."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._handle = os.open(self._file, flags, 0o644)
        size = os.fstat(self._handle).st_size
        # the end of a record that was cut off would put those after it out of step
        os.ftruncate(self._handle, size - size % self._length)

    def close(self) -> None:
        """Let go of the file."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def append(self, part: int, checksum: int, payload: bytes) -> None:
        """Add a record."""
        body = struct.pack("<II", part, checksum) + payload
        os.write(self._handle, struct.pack("<I", zlib.crc32(body)) + body)

    def records(self) -> Iterator[tuple[int, int, bytes]]:
        """Part, sum and payload of each whole record in the folder, whoever wrote it."""
        for file in self.files(self._folder):
            content = file.read_bytes()
            for at in range(0, len(content) - self._length + 1, self._length):
                own, part, checksum = _HEAD.unpack_from(content, at)
                body = content[at + 4 : at + self._length]
                if own == zlib.crc32(body):
                    yield part, checksum, body[8:]

    @staticmethod
    def files(folder: Path) -> list[Path]:
        """The journals in a folder."""
        return sorted(folder.glob(_NAME.format("*")))

    @property
    def _length(self) -> int:
        return _HEAD.size + self._payload
