"""The members of a zip file that holds them as they are, and where their bytes lie."""

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from counterpoint.errors import InputError

_LOCAL = struct.Struct("<4s22xHH")  # signature; lengths of name and extra field (APPNOTE 4.3.7)


@dataclass(frozen=True)
class ArchiveMember:
    """One member: its bytes in the file, as they are."""

    name: str
    file: Path
    offset: int
    size: int

    def read(self, most: int) -> bytes:
        """The content.

        Raises:
            InputError: it is longer than `most` bytes.
        """
        if self.size > most:
            raise InputError(
                f"{self.file}: {self.name!r} has {self.size:,} bytes; at most {most:,} are read"
            )
        with self.file.open("rb") as opened:
            opened.seek(self.offset)
            return opened.read(self.size)


def members(file: Path, begin: int = 0, size: int | None = None) -> dict[str, ArchiveMember]:
    """All members of an archive, whose bytes belong to one member each.

    Args:
        file: the file.
        begin: where in it the archive begins.
        size: the archive's bytes; none: to the end.

    Raises:
        InputError: it is no whole zip file, a member is compressed or encrypted, comes twice, or
            shares bytes with another.
    """
    with file.open("rb") as opened:
        end = opened.seek(0, 2) if size is None else begin + size
        part = _Part(opened, begin, end)
        try:
            with zipfile.ZipFile(cast("IO[bytes]", part)) as archive:
                listed = archive.infolist()
        except (
            zipfile.BadZipFile,
            ValueError,
            NotImplementedError,
            struct.error,
            OSError,
        ) as error:
            raise InputError(f"{file}: truncated, or no whole zip file: {error!s:.80}") from error
        found = dict[str, ArchiveMember]()
        for entry in listed:
            where = f"{file}: {entry.filename!r:.80}"
            _refuse_packed(entry, where)
            if entry.filename in found:
                raise InputError(f"{where}: is in the file twice")
            # a directory may say anything of where a member is: its own header is read, too
            offset = begin + entry.header_offset + _header(part, entry, where)
            found[entry.filename] = ArchiveMember(entry.filename, file, offset, entry.file_size)
    _refuse_shared(found, file, end)
    return found


class _Part:
    """A range of an open file as a file of its own."""

    def __init__(self, file: BinaryIO, begin: int, end: int) -> None:
        self._file, self._begin, self._end, self._at = file, begin, end, 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, self._end - self._begin)[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._end - self._begin - self._at)
        self._file.seek(self._begin + self._at)
        content = self._file.read(left if size < 0 else min(size, left))
        self._at += len(content)
        return content


def _refuse_packed(entry: zipfile.ZipInfo, where: str) -> None:
    if "/code/" in entry.filename:
        raise InputError(
            f"{where}: a TorchScript archive, which holds code; save a state dict:"
            " torch.save(model.state_dict(), file)"
        )
    # some kilobytes that unpack to a terabyte; torch writes none, and reads them
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise InputError(
            f"{where}: is compressed, which torch.save never writes; load it where you trust it and"
            " torch.save it again"
        )
    if entry.flag_bits & 1:
        raise InputError(f"{where}: is encrypted")


def _header(part: _Part, entry: zipfile.ZipInfo, where: str) -> int:
    """Bytes of the header before a member's content: what the directory says is not enough."""
    part.seek(entry.header_offset)
    content = part.read(_LOCAL.size)
    if len(content) < _LOCAL.size:
        raise InputError(f"{where}: truncated")
    signature, name, extra = _LOCAL.unpack(content)
    if signature != b"PK\x03\x04" or part.read(name) != entry.orig_filename.encode():
        raise InputError(f"{where}: the member and its entry in the directory do not agree")
    return _LOCAL.size + name + extra


def _refuse_shared(found: dict[str, ArchiveMember], file: Path, end: int) -> None:
    at = 0
    for member in sorted(found.values(), key=lambda member: (member.offset, member.size)):
        if member.offset < at or member.offset + member.size > end:
            raise InputError(f"{file}: {member.name!r:.80}: its bytes are not its own")
        at = member.offset + member.size
