"""A zip archive whose members have their places before their bytes: laid out, framed at the end.

Members are stored as they are, aligned as torch aligns them; sizes beyond four gigabytes have the
fields of zip64 (APPNOTE 4.5.3). No member has a date, so that equal contents are equal bytes.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

ALIGNED = 64
"""Bytes; of every member's content, as torch has it, so that storages can be mapped."""

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_MOST, _MANY = 0xFFFFFFFF, 0xFFFF  # what a field of the first format holds: "see zip64"
_EPOCH = 0x21  # 1980-01-01, the first day that there is
_VERSION, _VERSION64 = 20, 45


@dataclass(frozen=True)
class NewMember:
    """A member of an archive that is to be written.

    Attributes:
        name: its name.
        size: its bytes.
        begin: where its header begins, from the archive's beginning.
        content: its bytes where they are known; none: they are written by themselves.
    """

    name: str
    size: int
    begin: int
    content: bytes | None = None

    @property
    def offset(self) -> int:
        """Where its content begins, from the archive's beginning."""
        bare = self.begin + _LOCAL.size + len(self.name) + len(self._sizes())
        # room for the padding's own four bytes of name and length
        return -(-(bare + 4) // ALIGNED) * ALIGNED

    @property
    def end(self) -> int:
        """Behind its last byte."""
        return self.offset + self.size

    def header(self, checksum: int) -> bytes:
        """What is before its content."""
        large, sizes = self.size >= _MOST, self._sizes()
        extra = self.offset - self.begin - _LOCAL.size - len(self.name)
        padding = extra - len(sizes) - 4
        shown = _MOST if large else self.size
        head = _LOCAL.pack(
            b"PK\3\4", _VERSION64 if large else _VERSION, 0, 0, 0, _EPOCH,
            checksum, shown, shown, len(self.name), extra,
        )  # fmt: skip
        # "FB": the name that torch gives to padding
        return (
            head + self.name.encode() + sizes + struct.pack("<2sH", b"FB", padding) + bytes(padding)
        )

    def entry(self, checksum: int) -> bytes:
        """Its entry in the directory at the archive's end."""
        wide = [self.size, self.size] if self.size >= _MOST else []
        wide += [self.begin] if self.begin >= _MOST else []
        extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        version = _VERSION64 if wide else _VERSION
        shown = min(self.size, _MOST)
        head = _CENTRAL.pack(
            b"PK\1\2", version, version, 0, 0, 0, _EPOCH, checksum, shown, shown,
            len(self.name), len(extra), 0, 0, 0, 0, min(self.begin, _MOST),
        )  # fmt: skip
        return head + self.name.encode() + extra

    def _sizes(self) -> bytes:
        return struct.pack("<HHQQ", 1, 16, self.size, self.size) if self.size >= _MOST else b""


@dataclass(frozen=True)
class NewArchive:
    """A zip archive that is to be written.

    Attributes:
        members: what it holds, in order.
    """

    members: tuple[NewMember, ...]

    @classmethod
    def of(cls, contents: Sequence[tuple[str, int | bytes]]) -> "NewArchive":
        """Lay out members: each a name, and its bytes or how many there will be."""
        found, at = list[NewMember](), 0
        for name, content in contents:
            known = isinstance(content, bytes)
            size = len(content) if known else content
            found.append(NewMember(name, size, at, content if known else None))
            at = found[-1].end
        return cls(tuple(found))

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return self._at + len(self._directory({}))

    @property
    def _at(self) -> int:
        return self.members[-1].end

    def frame(self, sums: Mapping[str, int]) -> Iterator[tuple[int, bytes]]:
        """All that is not a member written by itself, and where it goes.

        Args:
            sums: the ``zlib.crc32`` of those members.
        """
        for member in self.members:
            checksum = _sum(member, sums)
            yield member.begin, member.header(checksum) + (member.content or b"")
        yield self._at, self._directory(sums)

    def _directory(self, sums: Mapping[str, int]) -> bytes:
        entries = b"".join(member.entry(_sum(member, sums)) for member in self.members)
        begin, size, count = self._at, len(entries), len(self.members)
        wide = b""
        if begin + size >= _MOST or count >= _MANY:
            wide = _END64.pack(
                b"PK\6\6", _END64.size - 12, _VERSION64, _VERSION64, 0, 0, count, count, size, begin
            ) + _LOCATOR.pack(b"PK\6\7", 0, begin + size, 1)
        few = min(count, _MANY)
        end = _END.pack(b"PK\5\6", 0, 0, few, few, min(size, _MOST), min(begin, _MOST), 0)
        return entries + wide + end


def _sum(member: NewMember, sums: Mapping[str, int]) -> int:
    return crc32(member.content) if member.content is not None else sums.get(member.name, 0)
