"""List the tensors of a checkpoint of `torch.distributed.checkpoint`.

A folder with `.metadata`, a pickle that says which part of which tensor is where, and data files
`__0_0.distcp`, … in which each part is an archive of `torch.save`. torch's own reader unpickles the
metadata, which runs whatever it names; here it is played with symbols (see `_opcodes`), and the
parts stay in their files.
"""

import math
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from counterpoint.checkpoints._names import Unwrapped, unwrap
from counterpoint.checkpoints._opcodes import PickledCall, Symbol, described
from counterpoint.checkpoints._paths import inside
from counterpoint.checkpoints._tensor import Box, StoredTensor
from counterpoint.checkpoints._torch_file import DTYPES, TorchArchive, naturals
from counterpoint.errors import InputError

METADATA = ".metadata"
_LONGEST = 256 * 2**20  # some 500 bytes a part


def read_distributed(folder: Path) -> Unwrapped:
    """The tensors of a folder.

    Raises:
        InputError: the metadata is no such pickle, a part is missing, twice or compressed, or a
            file's name leads out of the folder.
    """
    file = folder / METADATA
    if file.stat().st_size > _LONGEST:
        raise InputError(f"{file}: larger than {_LONGEST:,} bytes")
    metadata = described(file.read_bytes(), file)
    try:
        listed = _state(metadata, "Metadata")
        places = dict(_parts(listed["storage_data"]))
        nested = _nested(listed)
        return unwrap(nested, folder, lambda name, value: _tensor(name, value, places, folder))
    except InputError:
        raise
    except (TypeError, LookupError, ValueError, AttributeError) as error:
        raise InputError(f"{file}: not metadata as torch writes it: {error!s:.80}") from error


def _state(value: Any, kind: str) -> dict[str, Any]:
    """The attributes of an object of torch's; those it has as a tuple are not asked for here."""
    if not isinstance(value, PickledCall) or value.name.rpartition(".")[2] != kind:
        raise ValueError(f"expected a {kind}, found {reprlib.repr(value)}")
    return value.state


def _parts(storage: Any) -> Iterator[tuple[tuple[str, tuple[int, ...]], dict[str, Any]]]:
    for index, info in storage.items():
        key = _state(index, "MetadataIndex")
        offset = key.get("offset")
        yield (key["fqn"], () if offset is None else naturals(offset)), _state(info, "_StorageInfo")


class _Listed:
    """A tensor that the metadata lists under its full name."""

    def __init__(self, name: str, entry: dict[str, Any]) -> None:
        self.name, self.entry = name, entry


def _nested(listed: dict[str, Any]) -> dict[str, Any]:
    """The saved state as nested mappings, as it was before torch made its keys flat."""
    paths = listed.get("planner_data") or {}
    top = dict[str, Any]()
    for name, value in listed["state_dict_metadata"].items():
        path = paths.get(name) or (name,)
        into = top
        for key in path[:-1]:
            into = into.setdefault(key, {})
        tensor = isinstance(value, PickledCall) and value.name.endswith(".TensorStorageMetadata")
        into[path[-1]] = _Listed(name, value.state) if tensor else None
    return top


def _tensor(name: str, value: Any, places: dict[Any, Any], folder: Path) -> StoredTensor | None:
    if not isinstance(value, _Listed):
        return None
    where = f"{folder}: {name!r:.80}"
    shape = naturals(value.entry["size"])
    dtype = _dtype(value.entry["properties"], where)
    boxes = list[Box]()
    for chunk in value.entry["chunks"]:
        extent = _state(chunk, "ChunkStorageMetadata")
        start, sizes = naturals(extent["offsets"]), naturals(extent["sizes"])
        place = places.get((value.name, start)) or places.get((value.name, ()))
        # without its bytes a part would be merged as whatever is in the memory
        if place is None:
            raise InputError(f"{where}: its part at {start} is in no file")
        boxes.append(_box(where, dtype, start, sizes, _archived(name, place, folder)))
    _refuse_uncovered(where, shape, boxes)
    return StoredTensor(name, dtype, shape, tuple(sorted(boxes, key=lambda box: box.start)))


def _dtype(properties: Any, where: str) -> str:
    state = properties.state
    kind = state[0] if isinstance(state, tuple) else state["dtype"]
    name = kind.name.removeprefix("torch.") if isinstance(kind, Symbol) else "?"
    if name not in DTYPES:
        raise InputError(f"{where}: cannot read the type {name!r:.40}")
    return DTYPES[name]


def _archived(name: str, place: dict[str, Any], folder: Path) -> StoredTensor:
    """The tensor of torch.save in a range of a data file."""
    if place.get("transform_descriptors"):
        raise InputError(f"{folder}: {name!r:.80}: is compressed; save it without extensions")
    file = inside(folder, place["relative_path"], f"{folder / METADATA}")
    begin, size = naturals([place["offset"], place["length"]])
    if begin + size > file.stat().st_size:
        raise InputError(f"{file}: truncated: {name!r:.80} ends at byte {begin + size:,}")
    # each part is a file of torch.save of its own, checked like one
    archive = TorchArchive(file, begin, size)
    tensor = archive.tensor(name, archive.content)
    if tensor is None:
        raise InputError(f"{file}: {name!r:.80}: expected a tensor")
    return tensor


def _box(
    where: str, dtype: str, start: tuple[int, ...], sizes: tuple[int, ...], part: StoredTensor
) -> Box:
    if part.dtype != dtype or part.shape != sizes or len(start) != len(sizes):
        raise InputError(
            f"{where}: expected a part of {dtype} {sizes}, found {part.dtype} {part.shape}"
        )
    (box,) = part.boxes
    return Box(box.file, box.offset, start, sizes, box.strides)


def _refuse_uncovered(where: str, shape: tuple[int, ...], boxes: list[Box]) -> None:
    """See that the parts are the tensor: all of it, and no element twice."""
    for box in boxes:
        ends = zip(box.start, box.sizes, shape, strict=True)
        if any(first + size > full for first, size, full in ends):
            raise InputError(f"{where}: its part at {box.start} reaches beyond shape {shape}")
    for place, box in enumerate(boxes):
        for other in boxes[:place]:
            if _meet(box, other):
                raise InputError(f"{where}: its parts at {other.start} and {box.start} overlap")
    # inside the shape and disjoint: as many elements as the tensor has are all of them
    if sum(math.prod(box.sizes) for box in boxes) != math.prod(shape):
        raise InputError(f"{where}: parts of it are missing (shape {shape})")


def _meet(one: Box, other: Box) -> bool:
    sides = zip(one.start, one.sizes, other.start, other.sizes, strict=True)
    return all(a < b + m and b < a + n for a, n, b, m in sides)
