"""Write a weight file in any order, over any number of restarts; it gets its name when whole."""

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from counterpoint.checkpoints._layout import (
    INDEX,
    SINGLE,
    NewTensor,
    index_of,
    lay_out,
)
from counterpoint.errors import InputError
from counterpoint.storage import DISK, FileSystem, Lock, put_in_place, sweep

_IDENTITY, _JOURNAL, _LOCK = "merge.json", "journal", "lock"
_HEAD = struct.Struct("<III")  # the record's own sum; the part's number; the sum of its bytes
_BLOCK = 1 << 20


class CheckpointWriter:
    """A `.safetensors` file, or a folder of shards, that is written part by part.

    It is prepared in a folder beside, ``.NAME.unfinished``: the files at their full size, and a
    journal that says which parts are there, each with the sum of its bytes. Killed at any moment
    and made again for the same `identity` it goes on with the parts that are missing; parts whose
    bytes do not agree with their sum (after a power cut) are missing. Use it as a context; an
    `InputError` inside clears what was prepared, whatever else ends it leaves it to go on with.

    Args:
        out: the final name: a ``.safetensors`` file, or else a folder.
        tensors: what it holds.
        parts: name, first and last byte of each part that is written as one.
        identity: what decides the result; another one begins anew.
        payload: bytes that go along with each part's entry in the journal.
        metadata: texts for the file's header, or the folder's index; `finish` may give others of
            the same length.
        copies: files that a folder gets beside the weights, under their own names.
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
        overwrite: bool = False,
        disk: FileSystem = DISK,
    ) -> None:
        self.out, self.work = out, out.with_name(f".{out.name}.unfinished")
        self._single, self._disk, self._identity = is_file(out), disk, identity
        self._metadata, self._copies = dict(metadata or {}), copies
        sweep(out.parent, only=out.name, disk=disk)
        refuse_taken(out, overwrite=overwrite)
        texts = self._metadata if self._single else {"format": "pt"}
        self._files = lay_out(self.work, tensors, texts)
        self._parts, self._payload = parts, payload
        self.recorded: dict[int, bytes] = {}
        self._checksums: dict[int, int] = {}
        self._handles: dict[Path, int] = {}
        self._journal = -1
        self._lock = Lock(self.work / _LOCK)
        self._places = {n: t for file in self._files for n, t in file.tensors.items()}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self._files)

    def __enter__(self) -> "CheckpointWriter":
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            self._lock.__enter__()
            self._prepare()
        except OSError as error:
            self._close()
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
        self._close()
        # what was refused will be refused again; what was interrupted goes on
        if isinstance(error, InputError):
            self._remove()

    def write(self, name: str, first: int, content: memoryview) -> None:
        """Write bytes of a tensor, from its byte `first` on; from any thread.

        Raises:
            InputError: the disk refused.
        """
        place = self._places[name].boxes[0]
        handle, at, done = self._handles[place.file], place.offset + first, 0
        try:
            while done < len(content):
                done += os.pwrite(handle, content[done:], at + done)
        except OSError as error:
            raise self._refused(error) from error

    def record(self, part: int, checksum: int, payload: bytes) -> None:
        """Say that a part is written whole.

        Args:
            part: its number in `parts`.
            checksum: `zlib.crc32` of its bytes.
            payload: what is kept with it.
        """
        body = struct.pack("<II", part, checksum) + payload
        # one call, appended: a record is in the file whole, or cut off at the end and seen by its
        # own sum
        os.write(self._journal, struct.pack("<I", zlib.crc32(body)) + body)
        self.recorded[part], self._checksums[part] = payload, checksum

    def content(self) -> str:
        """A digest of all parts' checksums: what tells whether the tensors are still as written."""
        return content_digest([self._checksums[part] for part in range(len(self._parts))])

    def finish(self, metadata: Mapping[str, str] | None = None) -> None:
        """Flush everything and give the file or folder its name.

        Raises:
            InputError: the disk refused; what was there before is intact.
        """
        texts = dict(self._metadata if metadata is None else metadata)
        try:
            for file in self._files:
                handle = self._handles[file.path]
                os.pwrite(handle, file.header(texts if self._single else {"format": "pt"}), 0)
                os.fsync(handle)
            self._name(texts)
        except OSError as error:
            raise self._refused(error) from error

    def _name(self, texts: Mapping[str, str]) -> None:
        disk = self._disk
        if self._single:
            put_in_place(self._files[0].path, self.out, disk=disk)
            self._remove()
            return
        contents = {file.name: file.read_bytes() for file in self._copies}
        for name, content in {**contents, INDEX: index_of(self._files, texts)}.items():
            # a merge that was killed here has some already, and nothing is written over
            disk.remove(self.work / name)
            disk.write(self.work / name, content)
        # the folder without what is ours alone gets the name: the lock goes with it to the end
        for name in (_JOURNAL, _IDENTITY):
            disk.remove(self.work / name)
        disk.sync(self.work)
        put_in_place(self.work, self.out, disk=disk)
        disk.remove(self.out / _LOCK)

    def _prepare(self) -> None:
        wanted = {"identity": self._identity, "parts": len(self._parts), "size": self.size}
        identity = self.work / _IDENTITY
        same = _read(identity) == wanted
        if not same:
            for path in self.work.iterdir():
                if path.name != _LOCK:
                    self._disk.remove(path)
            self._disk.write(identity, json.dumps(wanted).encode())
        for file in self._files:
            handle = os.open(file.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._handles[file.path] = handle
            # all of it now: a disk that is too small says so before the work, not after
            os.posix_fallocate(handle, 0, file.size)
            os.ftruncate(handle, file.size)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._journal = os.open(self.work / _JOURNAL, flags, 0o644)
        if same:
            self._recover()

    def _recover(self) -> None:
        """Read the journal: parts whose bytes agree with it are there."""
        content = os.pread(self._journal, os.fstat(self._journal).st_size, 0)
        length = _HEAD.size + self._payload
        for at in range(0, len(content) - length + 1, length):
            own, part, checksum = _HEAD.unpack_from(content, at)
            body = content[at + 4 : at + length]
            if own == zlib.crc32(body) and part < len(self._parts) and self._sum(part) == checksum:
                self.recorded[part], self._checksums[part] = body[8:], checksum
        whole = len(content) - len(content) % length
        # the end of a record that was cut off would put those after it out of step
        os.ftruncate(self._journal, whole)

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
        for handle in [*self._handles.values(), self._journal]:
            if handle >= 0:
                os.close(handle)
        self._handles, self._journal = {}, -1
        self._lock.__exit__(None, None, None)

    def _remove(self) -> None:
        self._disk.remove(self.work)


def content_digest(checksums: Sequence[int]) -> str:
    """One text for the `zlib.crc32` of all parts, in their order."""
    return hashlib.sha256(struct.pack(f"<{len(checksums)}I", *checksums)).hexdigest()


def is_file(out: Path) -> bool:
    """Whether a name is that of one file; any other is a folder's."""
    return out.name.endswith(".safetensors")


def refuse_taken(out: Path, *, overwrite: bool) -> None:
    """Refuse a name that is taken, or would be taken by something else than a weight file of ours.

    Raises:
        InputError: says what is there.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise InputError(f"{out}: exists already; choose another name, or pass --overwrite")
    weights = out.is_file() if is_file(out) else any((out / n).is_file() for n in (INDEX, SINGLE))
    if out.is_symlink() or not weights:
        raise InputError(f"{out}: is no weight file or folder of ours, so it is not overwritten")


def _read(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
