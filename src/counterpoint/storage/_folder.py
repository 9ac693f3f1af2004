"""Write and read one verified folder: safetensors, JSON documents and texts beside a manifest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.errors import InputError
from counterpoint.plain import StrPath
from counterpoint.storage._filesystem import (
    DISK,
    FileSystem,
    put_in_place,
    refuse,
    refuse_long,
    sweep,
    temporary,
)
from counterpoint.storage._json import JSONValue, from_json, to_json
from counterpoint.storage._manifest import (
    MANIFEST,
    manifest_of,
    read_manifest,
    verified,
)

if TYPE_CHECKING:
    # Documents are read without torch, which takes a second to import: a report needs no tensor.
    # What needs one imports `storage.tensors` when it is called.
    from torch import Tensor


@dataclass(frozen=True)
class Folder:
    """The verified content of a folder.

    Attributes:
        path: where it was read.
        data: the manifest's free part, as the writer gave it.
        files: name -> content; every byte agreed with the manifest.
    """

    path: Path
    data: JSONValue
    files: Mapping[str, bytes]

    def tensors(self, name: str) -> "dict[str, Tensor]":
        """The tensors of ``<name>.safetensors``.

        Raises:
            InputError: there is no such file, or it does not parse.
        """
        from counterpoint.storage._tensors import from_bytes

        file = f"{name}.safetensors"
        return from_bytes(self._content(file), self.path / file)

    def document(self, name: str) -> JSONValue:
        """The value of ``<name>.json``.

        Raises:
            InputError: there is no such file, or it does not parse.
        """
        file = f"{name}.json"
        return from_json(self._content(file), self.path / file)

    def text(self, name: str) -> str:
        """The text of the file `name`.

        Raises:
            InputError: there is no such file, or it is not UTF-8.
        """
        try:
            return self._content(name).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path / name}: not readable as UTF-8: {error}") from error

    def has(self, name: str) -> bool:
        """Whether the manifest names the file."""
        return name in self.files

    def _content(self, name: str) -> bytes:
        if name not in self.files:
            raise InputError(f"{self.path}: holds no file {name!r}; it was written by hand?")
        return self.files[name]


def write_folder(
    path: StrPath,
    *,
    kind: str,
    schema: int,
    tensors: "Mapping[str, Mapping[str, Tensor]] | None" = None,
    documents: Mapping[str, JSONValue] | None = None,
    texts: Mapping[str, str] | None = None,
    data: JSONValue = None,
    overwrite: bool = False,
    disk: FileSystem = DISK,
) -> None:
    """Write a folder that afterwards exists whole, or (on any failure) not at all.

    Args:
        path: the folder's final name; its parent is created when missing.
        kind: what the folder is, checked when it is read ("table model", "checkpoint", ...).
        schema: version of the layout, checked when it is read.
        tensors: name -> named tensors; each becomes ``<name>.safetensors``.
        documents: name -> JSON value; each becomes ``<name>.json``.
        texts: file name -> text, written as UTF-8.
        data: a JSON value kept in the manifest itself.
        overwrite: replace a folder of ours that is there already.
        disk: the file system; tests pass one that fails.

    Raises:
        InputError: the folder exists (and `overwrite` is off, or it is not one of ours), or the
            disk refused; what was there before is intact.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    files = _tensor_files(tensors or {})
    files |= {f"{name}.json": to_json(value) for name, value in (documents or {}).items()}
    files |= {name: text.encode() for name, text in (texts or {}).items()}
    content = {**files, MANIFEST: manifest_of(kind, schema, files, data)}
    size = sum(len(part) for part in content.values())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, only=path.name, disk=disk)
        _commit(path, content, disk)
    except OSError as error:
        raise refuse(path, size, error) from error


def read_folder(path: StrPath, *, kind: str, schema: int) -> Folder:
    """Read a folder and verify all of it before returning any of it.

    Args:
        path: the folder.
        kind: what it must be.
        schema: the layout version that the caller understands.

    Raises:
        InputError: it is missing, of another kind or version, made by hand, truncated or changed;
            the message names the file, what was expected and what was found.
    """
    path = Path(path)
    manifest = read_manifest(path, kind, schema)
    try:
        files = {name: verified(path, name, e) for name, e in manifest["files"].items()}
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return Folder(path, manifest.get("data"), files)


def folder_kind(path: StrPath) -> str:
    """What a folder says that it is, which nobody has verified; empty where it says nothing."""
    try:
        found = json.loads(Path(path, MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    kind = found.get("kind") if isinstance(found, dict) else None
    return kind if isinstance(kind, str) else ""


def digest_file(path: StrPath) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_existing(path: StrPath, *, overwrite: bool) -> None:
    """Refuse to write where something is already.

    Raises:
        InputError: it exists and `overwrite` is off, or it is not one of our folders.
    """
    path = Path(path)
    refuse_long(path)
    # a link that leads nowhere does not "exist", and would be replaced all the same
    if not path.exists() and not path.is_symlink():
        return
    if not overwrite:
        raise InputError(f"{path}: exists already; choose another name, or pass --overwrite")
    if not (path / MANIFEST).is_file():
        raise InputError(f"{path}: not a counterpoint folder, so it is not overwritten")


def _tensor_files(tensors: "Mapping[str, Mapping[str, Tensor]]") -> dict[str, bytes]:
    if not tensors:
        return {}
    from counterpoint.storage._tensors import to_bytes

    return {f"{name}.safetensors": to_bytes(group) for name, group in tensors.items()}


def _commit(path: Path, content: Mapping[str, bytes], disk: FileSystem) -> None:
    beside = temporary(path)
    try:
        disk.remove(beside)
        disk.make(beside)
        for name, part in content.items():
            disk.write(beside / name, part)
        # Files and their names are on the disk before the folder gets its own name: after a power
        # cut a reader finds it whole or not at all.
        disk.sync(beside)
        put_in_place(beside, path, disk=disk)
    except OSError:
        disk.remove(beside)
        raise
