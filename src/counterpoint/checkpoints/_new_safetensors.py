"""A file of the safetensors format before its bytes, and the index of several."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpoint.checkpoints._tensor import StoredTensor, whole
from counterpoint.errors import InputError

INDEX = "model.safetensors.index.json"
"""The file in a folder of shards that says which tensor is in which."""

_ALIGNED = 8  # of the widest type: whoever maps the file reads numbers where they are


@dataclass(frozen=True)
class NewSafetensors:
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

    def frame(
        self, metadata: Mapping[str, str], sums: Mapping[str, int]
    ) -> Iterator[tuple[int, bytes]]:
        """The bytes before the tensors, with these texts as metadata.

        Raises:
            InputError: they are longer than the room that was kept for them.
        """
        del sums  # the format has none
        text = _header_text(self.tensors, self.begin, metadata)
        if len(text) > self.begin - 8:
            raise InputError(f"{self.path}: its metadata became longer while it was written")
        # spaces behind the object belong to the format
        yield 0, (self.begin - 8).to_bytes(8, "little") + text.ljust(self.begin - 8)


def safetensors_file(
    path: Path, tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str]
) -> NewSafetensors:
    """A file of some tensors in their order; the types should be ordered by width."""
    at, places = 0, dict[str, StoredTensor]()
    for name, tensor in tensors.items():
        places[name] = whole(name, tensor.dtype, tensor.shape, path, at)
        at += tensor.size
    length = len(_header_text(places, 0, metadata))
    begin = 8 + length + (-length) % _ALIGNED
    # now that the header's length is known; offsets in it are from its end, and stay
    moved = {
        name: whole(name, tensor.dtype, tensor.shape, path, begin + tensor.boxes[0].offset)
        for name, tensor in places.items()
    }
    return NewSafetensors(path, moved, begin, begin + at)


def index_of(files: Sequence[NewSafetensors], metadata: Mapping[str, object]) -> bytes:
    """The text of the index of several shards."""
    shards = {name: file.path.name for file in files for name in file.tensors}
    total = sum(file.size - file.begin for file in files)
    value = {"metadata": {"total_size": total, **metadata}, "weight_map": shards}
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


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
