"""Folders at rest: what is written is whole, what is read is verified.

Every room that keeps something on disk (a fitted model, a checkpoint of a running training) keeps
one folder: safetensors and JSON files beside a `manifest.json` with the size and SHA-256 of each.

In come named tensors and JSON documents; out comes a folder that exists completely or not at all:
it is written under a temporary name, flushed file by file, and renamed; the manifest is written
last. `read_folder` checks every byte before it returns any, never unpickles, and never follows a
name out of the folder. `Lock` admits one writer; `sweep` clears what a killed writer left behind.
`pack_state` makes one flat mapping of tensors out of a thing's state, `unpack_state` and `below`
take it apart. Torch is imported when a tensor is read or written, and not for documents alone.

>>> import tempfile, torch
>>> from pathlib import Path
>>> with tempfile.TemporaryDirectory() as parent:
...     write_folder(Path(parent, "a"), kind="demo", schema=1, tensors={"w": {"x": torch.ones(2)}})
...     read_folder(Path(parent, "a"), kind="demo", schema=1).tensors("w")
{'x': tensor([1., 1.])}
"""

from counterpoint.storage._filesystem import (
    DISK,
    FileSystem,
    open_own,
    put_in_place,
    refuse_links,
    sweep,
    write_file,
    written_whole,
)
from counterpoint.storage._folder import (
    Folder,
    digest_file,
    folder_kind,
    read_folder,
    refuse_existing,
    write_folder,
)
from counterpoint.storage._json import JSONValue, from_json
from counterpoint.storage._lock import Lock
from counterpoint.storage._manifest import written_files
from counterpoint.storage._state import below, pack_state, refuse_other_settings, unpack_state

__all__ = [
    "DISK",
    "FileSystem",
    "Folder",
    "JSONValue",
    "Lock",
    "below",
    "digest_file",
    "folder_kind",
    "from_json",
    "open_own",
    "pack_state",
    "put_in_place",
    "read_folder",
    "refuse_existing",
    "refuse_links",
    "refuse_other_settings",
    "sweep",
    "unpack_state",
    "write_file",
    "write_folder",
    "written_files",
    "written_whole",
]
