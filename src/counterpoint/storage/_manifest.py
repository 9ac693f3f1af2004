"""The manifest of a folder: what it is, and the size and SHA-256 of every file in it.

Nothing in a folder is believed before its manifest is, and the manifest is written last.
"""

import hashlib
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from counterpoint.errors import InputError
from counterpoint.plain import StrPath
from counterpoint.storage._filesystem import set_aside, sweep
from counterpoint.storage._json import JSONValue, from_json, to_json

MANIFEST = "manifest.json"

# A manifest grows by some 100 bytes a file: what is larger was never ours, and is not parsed.
_LARGEST = 2**20
# No separator and no leading dot: a name that fits cannot lead out of the folder.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")


def manifest_of(kind: str, schema: int, files: Mapping[str, bytes], data: JSONValue) -> bytes:
    """The manifest's own text, which ends with its hash."""
    manifest = {
        "kind": kind,
        "schema": schema,
        "counterpoint": version("counterpoint"),
        # of the distribution, not of the module: documents alone are written without torch
        "torch": version("torch"),
        "files": {name: _described(content) for name, content in sorted(files.items())},
        "data": data,
    }
    content = to_json({**manifest, "sha256": _digest(to_json(manifest))})
    if len(content) > _LARGEST:  # nobody could read it
        raise InputError(f"manifest: {len(content):,} bytes; at most {_LARGEST:,} are written")
    return content


def read_manifest(path: Path, kind: str, schema: int) -> dict[str, Any]:
    """The manifest of a folder, which agrees with itself and names plain files alone."""
    manifest = _parsed(path, kind)
    file = path / MANIFEST
    if manifest.get("kind") != kind:
        raise InputError(f"{path}: expected a {kind} folder, found {manifest.get('kind')!r}")
    if manifest.get("schema") != schema:
        raise InputError(
            f"{path}: its layout has version {manifest.get('schema')!r} (written by counterpoint"
            f" {manifest.get('counterpoint')!r}); this counterpoint reads version {schema}"
        )
    for name, entry in manifest["files"].items():
        if not _NAME.fullmatch(name):
            raise InputError(f"{file}: refuses the file name {name!r}: not a plain name")
        if not isinstance(entry, dict) or not isinstance(entry.get("size"), int):
            raise InputError(f"{file}: no size and sha256 for {name!r}")
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    # the same text as was hashed: JSON keeps the order of keys and the digits of numbers
    if _digest(to_json(rest)) != manifest.get("sha256"):
        raise InputError(f"{file}: damaged: it does not agree with its own sha256")
    return manifest


def written_files(path: StrPath) -> set[str]:
    """The names that the manifest of a folder lists; none where there is no manifest to read."""
    try:
        found = from_json(Path(path, MANIFEST).read_bytes(), Path(path, MANIFEST))
    except (OSError, InputError):
        return set()
    files = found.get("files") if isinstance(found, dict) else None
    return set(files) if isinstance(files, dict) else set()


def verified(path: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    """The content of a file, which agrees with its entry in the manifest."""
    file = path / name
    # a link is no file of ours: it may lead anywhere, also where hash and size agree
    if file.is_symlink() or not file.is_file():
        raise InputError(f"{file}: missing, though the manifest names it")
    # the size first: a file that was blown up is not read into memory to be hashed
    size = file.stat().st_size
    if size != entry["size"]:
        raise InputError(f"{file}: expected {entry['size']:,} bytes, found {size:,}; damaged")
    content = file.read_bytes()
    expected, digest = str(entry.get("sha256")), _digest(content)
    if digest != expected:
        raise InputError(f"{file}: damaged: expected sha256 {expected[:12]}…, found {digest[:12]}…")
    return content


def _parsed(path: Path, kind: str) -> dict[str, Any]:
    file = path / MANIFEST
    if not path.exists():
        # a writer that was killed between its two renames has set the folder aside
        sweep(path.parent, only=path.name)
    if not path.exists():
        waiting = set_aside(path)
        hint = f"; an earlier version waits beside it as {waiting}: give it its name back"
        raise InputError(f"{path}: no such folder{hint if waiting else ''}")
    if file.is_symlink() or not file.is_file():
        raise InputError(f"{path}: no {MANIFEST} inside, so it is not a finished {kind} folder")
    if file.stat().st_size > _LARGEST:
        raise InputError(f"{file}: larger than {_LARGEST:,} bytes, so it is not one of ours")
    found = from_json(file.read_bytes(), file)
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise InputError(f"{file}: not a manifest: expected an object with 'files'")
    return found


def _described(content: bytes) -> dict[str, JSONValue]:
    return {"size": len(content), "sha256": _digest(content)}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
