"""Write a weight file in any order, over any number of restarts; it gets its name when whole."""

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from counterpoint.checkpoints._crc import joined_sum
from counterpoint.checkpoints._journal import Journal
from counterpoint.checkpoints._layout import NewTensor, is_file, lay_out, layout_of, refuse_taken
from counterpoint.errors import InputError
from counterpoint.storage import DISK, FileSystem, Lock, put_in_place, sweep

_IDENTITY, _LOCK = "merge.json", "lock"
_BLOCK = 1 << 20


class CheckpointWriter:
    """A weight file or folder that is written part by part.

    It is prepared in a folder beside, ``.NAME.unfinished``: the files at their full size, and a
    journal that says which parts are there, each with the sum of its bytes. Killed at any moment
    and made again for the same `identity` it goes on with the parts that are missing; parts whose
    bytes do not agree with their sum (after a power cut) are missing. Use it as a context; an
    `InputError` inside clears what was prepared, whatever else ends it leaves it to go on with.

    Several processes may write: number 0 prepares before the others begin, and finishes after they
    have ended.

    Args:
        out: the final name: a file by its ending, or else a folder.
        tensors: what it holds.
        parts: name, first and last byte of each part that is written as one.
        identity: what decides the result; another one begins anew.
        payload: bytes that go along with each part's entry in the journal.
        metadata: texts for the file's header, or the folder's index; `finish` may give others of
            the same length.
        copies: files that a folder gets beside the weights, under their own names.
        layout: of a folder: one of `LAYOUTS`; empty: shards.
        member: the number of this process.
        overwrite: replace a weight file or folder that is there.
        disk: the file system; tests pass one that fails.

    Raises:
        InputError: the name is taken, another process writes it, or the disk is too small.
    """

    def __init__(
        self,
        out: Path,
        tensors: Sequence[NewTensor],
        parts: Sequence[tuple[str, int, int]],
        identity: str,
        *,
        payload: int = 0,
        metadata: Mapping[str, str] | None = None,
        copies: Sequence[Path] = (),
        layout: str = "",
        member: int = 0,
        overwrite: bool = False,
        disk: FileSystem = DISK,
    ) -> None:
        self.out, self.work = out, out.with_name(f".{out.name}.unfinished")
        self._single, self._disk, self._identity = is_file(out), disk, identity
        self._metadata, self._copies, self._member = dict(metadata or {}), copies, member
        if not member:
            sweep(out.parent, only=out.name, disk=disk)
            refuse_taken(out, overwrite=overwrite)
        self._new = lay_out(self.work, layout_of(out, layout), tensors, self._metadata)
        self._parts = parts
        self.recorded: dict[int, bytes] = {}
        self._checksums: dict[int, int] = {}
        self._handles: dict[Path, int] = {}
        self._journal = Journal(self.work, member, payload)
        self._lock = Lock(self.work / _LOCK)
        self._places = {n: t for file in self._new.files for n, t in file.tensors.items()}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self._new.files)

    def __enter__(self) -> "CheckpointWriter":
        try:
            if self._member:
                self._attach()
            else:
                self.work.mkdir(parents=True, exist_ok=True)
                self._lock.__enter__()
                self._prepare()
        except OSError as error:
            self._close()
            if not self._member:
                self._remove()
            raise self._refused(error) from error
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._member and error is None:
            # on a file system of several hosts number 0 cannot do it
            for handle in self._handles.values():
                os.fsync(handle)
        self._close()
        # what was refused will be refused again; what was interrupted goes on
        if isinstance(error, InputError) and not self._member:
            self._remove()

    def write(self, name: str, first: int, content: memoryview) -> None:
        """Write bytes of a tensor, from its byte `first` on; from any thread.

        Raises:
            InputError: the disk refused.
        """
        place = self._places[name].boxes[0]
        try:
            _write(self._handles[place.file], content, place.offset + first)
        except OSError as error:
            raise self._refused(error) from error

    def record(self, part: int, checksum: int, payload: bytes) -> None:
        """Say that a part is written whole.

        Args:
            part: its number in `parts`.
            checksum: `zlib.crc32` of its bytes.
            payload: what is kept with it.
        """
        self._journal.append(part, checksum, payload)
        self.recorded[part], self._checksums[part] = payload, checksum

    def gather(self) -> None:
        """Take in what other processes have recorded; their bytes are not read again."""
        for part, checksum, payload in self._journal.records():
            self.recorded[part], self._checksums[part] = payload, checksum

    def content(self) -> str:
        """A digest of all parts' checksums: what tells whether the tensors are still as written."""
        return content_digest([self._checksums[part] for part in range(len(self._parts))])

    def finish(self, metadata: Mapping[str, str] | None = None) -> None:
        """Flush everything and give the file or folder its name.

        Raises:
            InputError: the disk refused; what was there before is intact.
        """
        texts, sums = dict(self._metadata if metadata is None else metadata), self._sums()
        try:
            for file in self._new.files:
                handle = self._handles[file.path]
                for at, content in file.frame(self._new.texts(texts), sums):
                    _write(handle, content, at)
                os.fsync(handle)
            self._name(texts)
        except OSError as error:
            raise self._refused(error) from error

    def _name(self, texts: Mapping[str, str]) -> None:
        disk = self._disk
        if self._single:
            put_in_place(self._new.files[0].path, self.out, disk=disk)
            self._remove()
            return
        contents = {file.name: file.read_bytes() for file in self._copies}
        for name, content in {**contents, **self._new.beside(texts)}.items():
            # a merge that was killed here has some already, and nothing is written over
            disk.remove(self.work / name)
            disk.write(self.work / name, content)
        # the folder without what is ours alone gets the name: the lock goes with it to the end
        for path in (*Journal.files(self.work), self.work / _IDENTITY):
            disk.remove(path)
        disk.sync(self.work)
        put_in_place(self.work, self.out, disk=disk)
        disk.remove(self.out / _LOCK)

    def _prepare(self) -> None:
        identity = self.work / _IDENTITY
        same = _read(identity) == self._wanted
        if not same:
            for path in self.work.iterdir():
                if path.name != _LOCK:
                    self._disk.remove(path)
            self._disk.write(identity, json.dumps(self._wanted).encode())
        self._open(os.O_CREAT)
        for file in self._new.files:
            handle = self._handles[file.path]
            # all of it now: a disk that is too small says so before the work, not after
            os.posix_fallocate(handle, 0, file.size)
            os.ftruncate(handle, file.size)
        if same:
            self._recover()
        self._journal.open()

    @property
    def _wanted(self) -> dict[str, object]:
        return {
            "identity": self._identity,
            "layout": self._new.layout,
            "parts": len(self._parts),
            "size": self.size,
        }

    def _attach(self) -> None:
        """Write along with the process that prepared the files."""
        if _read(self.work / _IDENTITY) != self._wanted:
            raise InputError(f"{self.out}: is not being written with these inputs and settings")
        self._open(0)
        self._journal.open()

    def _open(self, flags: int) -> None:
        for file in self._new.files:
            own = os.O_RDWR | os.O_CLOEXEC | flags
            self._handles[file.path] = os.open(file.path, own, 0o644)

    def _recover(self) -> None:
        """Read the journals: parts whose bytes agree with them are there."""
        for part, checksum, payload in self._journal.records():
            if part < len(self._parts) and self._sum(part) == checksum:
                self.recorded[part], self._checksums[part] = payload, checksum

    def _sums(self) -> dict[str, int]:
        """The sum of each tensor, from those of its parts."""
        found = dict[str, list[tuple[int, int]]]()
        for number, (name, first, last) in enumerate(self._parts):
            found.setdefault(name, []).append((self._checksums[number], last - first))
        return {name: joined_sum(parts) for name, parts in found.items()}

    def _sum(self, part: int) -> int:
        name, first, last = self._parts[part]
        place = self._places[name].boxes[0]
        handle, checksum = self._handles[place.file], 0
        for at in range(first, last, _BLOCK):
            content = os.pread(handle, min(_BLOCK, last - at), place.offset + at)
            checksum = zlib.crc32(content, checksum)
        return checksum

    def _refused(self, error: OSError) -> InputError:
        left = os.statvfs(self.out.parent if self.out.parent.exists() else Path("."))
        free = left.f_bavail * left.f_frsize
        return InputError(
            f"{self.out}: could not be written ({error.strerror or error}); it needs"
            f" {self.size:,} bytes, {free:,} are free; nothing was changed"
        )

    def _close(self) -> None:
        for handle in self._handles.values():
            os.close(handle)
        self._handles = {}
        self._journal.close()
        self._lock.__exit__(None, None, None)

    def _remove(self) -> None:
        self._disk.remove(self.work)


def content_digest(checksums: Sequence[int]) -> str:
    """One text for the `zlib.crc32` of all parts, in their order."""
    return hashlib.sha256(struct.pack(f"<{len(checksums)}I", *checksums)).hexdigest()


def _write(handle: int, content: bytes | memoryview, at: int) -> None:
    done = 0
    while done < len(content):
        done += os.pwrite(handle, content[done:], at + done)


def _read(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
