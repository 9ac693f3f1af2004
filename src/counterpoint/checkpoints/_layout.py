"""Where the bytes of a new weight file go, before there are any."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.checkpoints._tensor import ITEM_SIZES, StoredTensor, whole
from counterpoint.errors import InputError

INDEX = "model.safetensors.index.json"
"""The file in a folder of shards that says which tensor is in which."""

SINGLE = "model.safetensors"
_ALIGNED = 8  # of the widest type: whoever maps the file reads numbers where they are


@dataclass(frozen=True)
class NewTensor:
    """A tensor that is to be written.

    Attributes:
        name: its key.
        dtype: its type, a key of `ITEM_SIZES`.
        shape: its shape.
        shard: the file that is to hold it; empty where there is one file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: str = ""


@dataclass(frozen=True)
class NewFile:
    """A file of the safetensors format that is to be written.

    Attributes:
        path: where.
        tensors: by name, with the places of their bytes.
        begin: where the first tensor begins: the header's room, which keeps its size.
        size: bytes in all.
    """

    path: Path
    tensors: Mapping[str, StoredTensor]
    begin: int
    size: int

    def header(self, metadata: Mapping[str, str]) -> bytes:
        """The bytes before the tensors, with these texts as metadata.

        Raises:
            InputError: they are longer than the room that was kept for them.
        """
        text = _header_text(self.tensors, self.begin, metadata)
        if len(text) > self.begin - 8:
            raise InputError(f"{self.path}: its metadata became longer while it was written")
        # spaces behind the object belong to the format
        return (self.begin - 8).to_bytes(8, "little") + text.ljust(self.begin - 8)


def lay_out(
    folder: Path, tensors: Sequence[NewTensor], metadata: Mapping[str, str]
) -> tuple[NewFile, ...]:
    """The files that hold some tensors, each in the order given but for alignment.

    Args:
        folder: where the files will be.
        tensors: what they hold.
        metadata: texts of each file, as long as those that will be there at the end.
    """
    shards: dict[str, list[NewTensor]] = {}
    for tensor in tensors:
        shards.setdefault(tensor.shard or SINGLE, []).append(tensor)
    return tuple(_file(folder / name, parts, metadata) for name, parts in sorted(shards.items()))


def index_of(files: Sequence[NewFile], metadata: Mapping[str, object]) -> bytes:
    """The text of the index of several shards."""
    shards = {name: file.path.name for file in files for name in file.tensors}
    total = sum(file.size - file.begin for file in files)
    value = {"metadata": {"total_size": total, **metadata}, "weight_map": shards}
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def _file(path: Path, parts: Sequence[NewTensor], metadata: Mapping[str, str]) -> NewFile:
    # wide types first, as safetensors' own writer has it: then every tensor is aligned
    ordered = sorted(parts, key=lambda part: -ITEM_SIZES[part.dtype])
    at, places = 0, dict[str, StoredTensor]()
    for part in ordered:
        places[part.name] = whole(part.name, part.dtype, part.shape, path, at)
        at += places[part.name].size
    length = len(_header_text(places, 0, metadata))
    begin = 8 + length + (-length) % _ALIGNED
    # now that the header's length is known; offsets in it are from its end, and stay
    moved = {
        name: whole(name, tensor.dtype, tensor.shape, path, begin + tensor.boxes[0].offset)
        for name, tensor in places.items()
    }
    return NewFile(path, moved, begin, begin + at)


def _header_text(
    tensors: Mapping[str, StoredTensor], begin: int, metadata: Mapping[str, str]
) -> bytes:
    value: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    for name, tensor in tensors.items():
        first = tensor.boxes[0].offset - begin
        value[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [first, first + tensor.size],
        }
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
