"""The run folder: what the run is, its checkpoints, its log, one writer at a time.

Layout::

    run.json                    the recipe; a restart with another one is refused
    checkpoints/step-00000123/  the last ones, each verified as a whole when read
    log.jsonl                   one JSON object a line
    lock
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.storage import (
    FileSystem,
    Folder,
    JSONValue,
    Lock,
    from_json,
    open_own,
    read_folder,
    refuse_links,
    sweep,
    write_file,
    write_folder,
)

_KIND, _SCHEMA = "checkpoint", 1
_LATER = ("data",)
"""Keys that earlier versions did not write."""
_FIRST = "step-00000000"


class DamagedRunError(InputError):
    """Nothing in a run folder can be gone on with; removing it starts the run again."""


@dataclass(frozen=True)
class LogMark:
    """Where a log was when a checkpoint was written.

    Attributes:
        size: its length in bytes.
        digest: SHA-256 of so many bytes; None in checkpoints of earlier versions.
    """

    size: int = 0
    digest: str | None = None


class Log:
    """An append-only file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        try:
            # read and written through one handle: what was hashed is what is gone on with
            handle = open_own(path, os.O_RDWR | os.O_APPEND)
            self._file = os.fdopen(handle, "r+b")
            self._hash.update(self._file.read())
        except OSError as error:
            raise self._refused(error) from error

    def append(self, line: Mapping[str, JSONValue]) -> None:
        """Write one line; it is in the file, whole, when this returns."""
        content = json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n"
        try:
            self._file.write(content.encode())
            self._file.flush()
            self._hash.update(content.encode())
        except OSError as error:
            raise self._refused(error) from error

    def settle(self) -> LogMark:
        """Flush to the disk; the length in bytes and the digest of all that is in it."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refused(error) from error
        return LogMark(os.fstat(self._file.fileno()).st_size, self._hash.hexdigest())

    def cut(self, mark: LogMark, epochs: Iterable[Mapping[str, JSONValue]]) -> bool:
        """Drop what a checkpoint did not see; False: it was not as it was, and is written anew."""
        self._file.seek(0)
        begins = self._file.read(mark.size)
        self._hash = hashlib.sha256(begins)
        whole = len(begins) == mark.size and self._as_it_was(begins, mark.digest)
        self._file.truncate(mark.size if whole else 0)
        self._file.seek(0, os.SEEK_END)
        if not whole:
            self._hash = hashlib.sha256()
            for line in epochs:
                self.append(line)
        return whole

    def _as_it_was(self, content: bytes, digest: str | None) -> bool:
        if digest is not None:
            return self._hash.hexdigest() == digest
        # of a checkpoint that earlier versions wrote: every line is at least a line
        try:
            return all(isinstance(from_json(line, ""), dict) for line in content.splitlines())
        except InputError:
            return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _refused(self, error: OSError) -> InputError:
        return InputError(f"{self._path}: could not be written ({error.strerror})")


class RunFolder:
    """A run folder held open by this process; use it as a context."""

    def __init__(
        self, path: Path, recipe: Mapping[str, JSONValue], disk: FileSystem, kept: int = 2
    ) -> None:
        self.path, self._kept = path, kept
        self._disk = disk
        # through JSON, since tuples read back as lists
        self._recipe = json.loads(json.dumps(recipe))
        self.digest = hashlib.sha256(json.dumps(self._recipe, sort_keys=True).encode()).hexdigest()
        self._checkpoints = path / "checkpoints"
        # a folder from somebody else: what we write must not land outside it
        refuse_links(path)
        refuse_links(self._checkpoints)
        try:
            self._checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path}: could not be made ({error.strerror})") from error
        self._lock = Lock(path / "lock")
        self._log: Log | None = None

    def __enter__(self) -> "RunFolder":
        self._lock.__enter__()
        try:
            # a process that was killed may have left folders half-written
            sweep(self.path, disk=self._disk)
            sweep(self._checkpoints, disk=self._disk)
            self._agree()
            self._log = Log(self.path / "log.jsonl")
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.log.close()
        self._lock.__exit__(kind, error, trace)

    @property
    def log(self) -> Log:
        """The run's log; there is one while the folder is held."""
        if self._log is None:
            raise InputError(f"{self.path}: the run folder is not held open")
        return self._log

    def save(
        self, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, JSONValue]
    ) -> None:
        """Write the checkpoint of a step, then drop all but the last ones.

        The state goes into a file of its own: the manifest, which has no hash, says only whose
        checkpoint it is.
        """
        path = self._checkpoints / f"step-{step:08d}"
        write_folder(
            path,
            kind=_KIND,
            schema=_SCHEMA,
            tensors={"run": tensors},
            documents={"state": state},
            data={"run": self.digest},
            overwrite=True,
            disk=self._disk,
        )
        # two at least: if the newest turns out damaged there is one before it
        for old in self._list()[: -self._kept]:
            self._disk.remove(old)

    def latest(self) -> tuple[Folder | None, list[str]]:
        """The newest checkpoint that is whole, and what was wrong with newer ones.

        Newer damaged checkpoints are removed: the run will write those steps again. Where nothing
        but the one from before the first step is damaged, nothing is lost, and there is none.

        Raises:
            DamagedRunError: there are checkpoints, and none of them is whole.
        """
        notes: list[str] = []
        damaged: list[Path] = []
        for path in reversed(self._list()):
            try:
                found = read_folder(path, kind=_KIND, schema=_SCHEMA)
                self._own(found)
            except InputError as error:
                notes.append(str(error))
                damaged.append(path)
                continue
            for old in damaged:
                self._disk.remove(old)
            # only once a whole one is found: until then nothing is thrown away
            return found, [f"{note}; going back to {path.name}" for note in notes]
        if notes and [path.name for path in damaged] == [_FIRST]:
            self._disk.remove(damaged[0])
            return None, [f"{notes[0]}; it held no step, so the run begins again"]
        if notes:
            raise DamagedRunError(
                f"{self._checkpoints}: no checkpoint is whole ({'; '.join(notes)});"
                " remove the folder to start again"
            )
        return None, []

    def _own(self, found: Folder) -> None:
        data = found.data
        other = data.get("run") if isinstance(data, dict) else None
        if other != self.digest:
            raise InputError(
                f"{found.path}: belongs to another run: expected {self.digest[:12]}…,"
                f" found {str(other)[:12]}…"
            )

    def _list(self) -> list[Path]:
        return sorted(self._checkpoints.glob("step-*"))

    def _agree(self) -> None:
        path = self.path / "run.json"
        if not path.exists():
            if self._list():
                raise InputError(f"{self.path}: has checkpoints but no run.json; not a run folder")
            write_file(path, json.dumps(self._recipe, indent=1).encode() + b"\n", disk=self._disk)
            return
        try:
            stored = from_json(path.read_bytes(), path)
        except OSError as error:
            raise InputError(f"{path}: not readable: {error}") from error
        except InputError as error:
            self._heal(path, error)
            return
        here, there = _flat(self._recipe), _flat(stored)
        for key in [*there, *here]:
            if key in _LATER and None in (here.get(key), there.get(key)):
                continue  # not known of one of the two, so nothing is said against it
            if here.get(key) != there.get(key):
                raise InputError(
                    f"{self.path}: holds a run with {key} = {_show(there, key)}, asked for"
                    f" {_show(here, key)}; use another folder for another recipe"
                )

    def _heal(self, path: Path, error: InputError) -> None:
        """Write a damaged `run.json` anew where a whole checkpoint proves that the recipe is ours.

        A checkpoint names the digest of the recipe that it was made with.
        """
        try:
            found, _ = self.latest()
        except InputError:
            found = None
        if found is None:
            raise DamagedRunError(f"{error}; remove the folder to start again") from error
        write_file(path, json.dumps(self._recipe, indent=1).encode() + b"\n", disk=self._disk)


def _flat(value: JSONValue, prefix: str = "") -> dict[str, JSONValue]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    return {
        name: leaf
        for key, inner in value.items()
        for name, leaf in _flat(inner, f"{prefix}.{key}" if prefix else key).items()
    }


def _show(values: Mapping[str, JSONValue], key: str) -> str:
    return json.dumps(values[key]) if key in values else "nothing"
