"""What a weight file says of its tensors: names, types, shapes, and where the bytes lie."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from counterpoint.errors import InputError

ITEM_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4,
    "I64": 8, "U64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""Bytes of an element, by the type's name in the safetensors format: the words used everywhere."""


@dataclass(frozen=True)
class Box:
    """A rectangular part of a tensor, and where its elements are.

    Attributes:
        file: the file.
        offset: where in it the part's first element begins, in bytes.
        start: the part's first index in the tensor, a number a dimension.
        sizes: its extent, a number a dimension.
        strides: how far apart neighbours are in the file, in elements, a number a dimension.
    """

    file: Path
    offset: int
    start: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def span(self) -> int:
        """Elements from the part's first to behind its last in the file."""
        if 0 in self.sizes:
            return 0
        steps = zip(self.sizes, self.strides, strict=True)
        return 1 + sum((size - 1) * stride for size, stride in steps)


@dataclass(frozen=True)
class StoredTensor:
    """One tensor at rest.

    Attributes:
        name: its key, wrappers' prefixes taken off.
        dtype: the type's name, a key of `ITEM_SIZES`.
        shape: its shape.
        boxes: the parts that make it up, in the order of their first index.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    boxes: tuple[Box, ...]

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.elements * ITEM_SIZES[self.dtype]

    @cached_property
    def runs(self) -> tuple[tuple[Path, int, int], ...] | None:
        """File, offset and bytes of the runs that are the tensor one after the other; or none.

        There are none where neighbours in the tensor are apart in the file: it was transposed when
        it was saved, or cut along another dimension than the first.
        """
        # a stride of a dimension of size one is never stepped: torch writes what it likes there
        rows = contiguous(self.shape)
        found = list[tuple[Path, int, int]]()
        for box in self.boxes:
            whole_rows = box.sizes[1:] == self.shape[1:]
            packed = all(
                size < 2 or stride == row
                for size, stride, row in zip(box.sizes, box.strides, rows, strict=True)
            )
            if not (whole_rows and packed):
                return None
            found.append((box.file, box.offset, math.prod(box.sizes) * ITEM_SIZES[self.dtype]))
        return tuple(found)


@dataclass(frozen=True)
class Checkpoint:
    """A weight file or folder that was listed and checked; no tensor of it was read.

    Attributes:
        path: as it was given.
        layout: "safetensors", "sharded safetensors", "pytorch", "sharded pytorch", "distributed".
        tensors: the tensors by name, in the order of the file; natural order where the file has
            none of its own.
        metadata: the free texts of a safetensors file.
        files: the files that hold the tensors.
        shards: name of a tensor -> name of its file, for a sharded folder.
        notes: what was unwrapped, renamed or left out, a sentence each.
    """

    path: Path
    layout: str
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    files: tuple[Path, ...] = ()
    shards: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.size for tensor in self.tensors.values())

    @cached_property
    def tied(self) -> tuple[tuple[str, ...], ...]:
        """Names that share one memory in the file, two or more a group."""
        groups: dict[tuple[object, ...], list[str]] = {}
        for name, tensor in self.tensors.items():
            if tensor.elements:
                groups.setdefault((tensor.dtype, tensor.shape, tensor.boxes), []).append(name)
        return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose rows follow each other.

    >>> contiguous((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))


def whole(name: str, dtype: str, shape: tuple[int, ...], file: Path, offset: int) -> StoredTensor:
    """A tensor that lies in one run of a file."""
    box = Box(file, offset, (0,) * len(shape), shape, contiguous(shape))
    return StoredTensor(name, dtype, shape, (box,))


def refuse_overlap(where: str, sizes: tuple[int, ...], strides: tuple[int, ...]) -> None:
    """Refuse a view whose elements share memory: a small file could claim any size by it.

    Raises:
        InputError: a stride is zero or negative, or shorter than what it steps over.
    """
    reach = 0
    # by stride from the smallest: each step has to clear all that the smaller ones cover
    steps = sorted(zip(strides, sizes, strict=True))
    for stride, size in steps:
        if size < 2:
            continue
        if stride <= reach:
            raise InputError(
                f"{where}: its elements overlap (shape {sizes}, strides {strides}); save it again"
                " as .contiguous()"
            )
        reach += (size - 1) * stride
