"""Write and read one verified folder: a manifest, safetensors and JSON documents."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.storage.layer import DISK, Layer, refuse, sweep, temporary

__all__ = [
    "Folder",
    "JSONValue",
    "digest_file",
    "read_folder",
    "refuse_existing",
    "write_folder",
    "written_files",
]

JSONValue: TypeAlias = Any
"""What `json` reads and writes: None, bool, int, float, str, list, dict with string keys."""

_MANIFEST = "manifest.json"
_LIMIT = 64 * 2**20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")


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

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of ``<name>.safetensors``.

        Raises:
            InputError: there is no such file, or it does not parse.
        """
        try:
            return load(self._content(f"{name}.safetensors"))
        except SafetensorError as error:
            raise InputError(f"{self.path / name}.safetensors: not readable: {error}") from error

    def document(self, name: str) -> JSONValue:
        """The value of ``<name>.json``.

        Raises:
            InputError: there is no such file, or it does not parse.
        """
        return _parse(self.path / f"{name}.json", self._content(f"{name}.json"))

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
    path: Path,
    *,
    kind: str,
    schema: int,
    tensors: Mapping[str, Mapping[str, Tensor]] | None = None,
    documents: Mapping[str, JSONValue] | None = None,
    texts: Mapping[str, str] | None = None,
    data: JSONValue = None,
    overwrite: bool = False,
    layer: Layer = DISK,
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
        layer: the file system; tests pass one that fails.

    Raises:
        InputError: the folder exists (and `overwrite` is off, or it is not one of ours), or the
            disk refused; what was there before is intact.
    """
    refuse_existing(path, overwrite=overwrite)
    files = {f"{name}.safetensors": _pack(group) for name, group in (tensors or {}).items()}
    files |= {f"{name}.json": _dump(value) for name, value in (documents or {}).items()}
    files |= {name: text.encode() for name, text in (texts or {}).items()}
    manifest = {
        "kind": kind,
        "schema": schema,
        "counterpoint": version("counterpoint"),
        "torch": str(torch.__version__),
        "files": {name: _describe(content) for name, content in sorted(files.items())},
        "data": data,
    }
    manifest["sha256"] = hashlib.sha256(_dump(manifest)).hexdigest()
    content = {**files, _MANIFEST: _dump(manifest)}
    size = sum(len(part) for part in content.values())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, only=path.name, layer=layer)
        _commit(path, content, layer)
    except OSError as error:
        raise refuse(path, size, error) from error


def read_folder(path: Path, *, kind: str, schema: int) -> Folder:
    """Read a folder and verify all of it before returning any of it.

    Args:
        path: the folder.
        kind: what it must be.
        schema: the layout version that the caller understands.

    Raises:
        InputError: it is missing, of another kind or version, made by hand, truncated or changed;
            the message names the file, what was expected and what was found.
    """
    manifest = _manifest(path, kind, schema)
    for name, entry in manifest["files"].items():
        _refuse_entry(path, name, entry)
    _refuse_edited(path, manifest)
    try:
        files = {name: _verified(path, name, e) for name, e in manifest["files"].items()}
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return Folder(path, manifest.get("data"), files)


def written_files(path: Path) -> set[str]:
    """The names that the manifest of a folder lists; none where there is no manifest to read."""
    try:
        found = json.loads((path / _MANIFEST).read_bytes())
    except (OSError, ValueError):
        return set()
    files = found.get("files") if isinstance(found, dict) else None
    return set(files) if isinstance(files, dict) else set()


def digest_file(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to write where something is already.

    Raises:
        InputError: it exists and `overwrite` is off, or it is not one of our folders.
    """
    if not path.exists() and not path.is_symlink():
        return
    if not overwrite:
        raise InputError(f"{path}: exists already; choose another name, or pass --overwrite")
    if not (path / _MANIFEST).is_file():
        raise InputError(f"{path}: not a counterpoint folder, so it is not overwritten")


def _commit(path: Path, content: Mapping[str, bytes], layer: Layer) -> None:
    beside, aside = temporary(path), temporary(path, "old")
    try:
        layer.remove(beside)
        layer.make(beside)
        for name, part in content.items():
            layer.write(beside / name, part)
        layer.sync(beside)
        if path.exists():
            layer.rename(path, aside)
        layer.rename(beside, path)
        layer.sync(path.parent)
    except OSError:
        if aside.exists() and not path.exists():
            layer.rename(aside, path)
        layer.remove(beside)
        raise
    layer.remove(aside)


def _pack(group: Mapping[str, Tensor]) -> bytes:
    # a copy each: safetensors refuses tensors that share memory
    return save(
        {key: value.detach().to("cpu", copy=True).contiguous() for key, value in group.items()}
    )


def _dump(value: JSONValue) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def _describe(content: bytes) -> dict[str, JSONValue]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _parse(path: Path, content: bytes) -> JSONValue:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON: {error}") from error


def _manifest(path: Path, kind: str, schema: int) -> dict[str, Any]:
    file = path / _MANIFEST
    if not path.exists():
        # a writer that was killed between two renames has set the folder aside
        sweep(path.parent, only=path.name)
    if not path.exists():
        raise InputError(f"{path}: no such folder")
    if not file.is_file():
        raise InputError(f"{path}: no {_MANIFEST} inside, so it is not a finished {kind} folder")
    if file.stat().st_size > _LIMIT:
        raise InputError(f"{file}: larger than {_LIMIT:,} bytes, so it is not one of ours")
    found = _parse(file, file.read_bytes())
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise InputError(f"{file}: not a manifest: expected an object with 'files'")
    if found.get("kind") != kind:
        raise InputError(f"{path}: expected a {kind} folder, found {found.get('kind')!r}")
    if found.get("schema") != schema:
        raise InputError(
            f"{path}: its layout has version {found.get('schema')!r} (written by counterpoint"
            f" {found.get('counterpoint')!r}); this counterpoint reads version {schema}"
        )
    return found


def _refuse_edited(path: Path, manifest: dict[str, Any]) -> None:
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    if hashlib.sha256(_dump(rest)).hexdigest() != manifest.get("sha256"):
        raise InputError(f"{path / _MANIFEST}: damaged: it does not agree with its own sha256")


def _refuse_entry(path: Path, name: str, entry: object) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(f"{path / _MANIFEST}: refuses the file name {name!r}: not a plain name")
    if not isinstance(entry, dict) or not isinstance(entry.get("size"), int):
        raise InputError(f"{path / _MANIFEST}: no size and sha256 for {name!r}")


def _verified(path: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    file = path / name
    if file.is_symlink() or not file.is_file():
        raise InputError(f"{file}: missing, though the manifest names it")
    size = file.stat().st_size
    if size != entry["size"]:
        raise InputError(f"{file}: expected {entry['size']:,} bytes, found {size:,}; damaged")
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.get("sha256"):
        raise InputError(
            f"{file}: damaged: expected sha256 {str(entry.get('sha256'))[:12]}…,"
            f" found {digest[:12]}…"
        )
    return content
