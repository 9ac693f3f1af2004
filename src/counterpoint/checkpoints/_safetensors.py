"""Read the header of a safetensors file, and believe none of it before it is checked.

The format: eight bytes N (little endian), N bytes of JSON, then the tensors' bytes without gaps;
https://github.com/huggingface/safetensors#format. The library's own reader takes a key that comes
twice, and imports torch or numpy; this one does neither.
"""

import math
from pathlib import Path
from typing import Any

from counterpoint.checkpoints._json import strict_object
from counterpoint.checkpoints._tensor import ITEM_SIZES, StoredTensor, whole
from counterpoint.errors import InputError, nearest

LONGEST_HEADER = 100_000_000
"""Bytes of the longest header that the format allows."""

_PARTS = {"dtype", "shape", "data_offsets"}


def read_header(file: Path) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The tensors of a file in the order of their bytes, and its metadata.

    Raises:
        InputError: a byte of the file is not accounted for, or accounted for twice.
    """
    content, begin, end = _header_text(file)
    header = strict_object(content, file, "header")
    metadata = _metadata(header.pop("__metadata__", {}), file)
    ranges = {name: _range(entry, f"{file}: {name!r:.80}") for name, entry in header.items()}
    order = sorted(header, key=lambda name: (ranges[name], name))
    at = 0
    for name in order:
        first, last = ranges[name]
        if first != at:
            what = "overlaps the tensor before it" if first < at else "leaves a hole before it"
            raise InputError(f"{file}: {name!r:.80}: {what} (byte {first:,}, expected {at:,})")
        at = last
    if begin + at != end:
        what = "truncated" if begin + at > end else "bytes follow the last tensor"
        raise InputError(f"{file}: {what}: expected {begin + at:,} bytes, found {end:,}")
    tensors = {
        name: whole(
            name, header[name]["dtype"], tuple(header[name]["shape"]), file, begin + ranges[name][0]
        )
        for name in order
    }
    return tensors, metadata


def _header_text(file: Path) -> tuple[bytes, int, int]:
    """The header's bytes, where the tensors begin, and the file's size."""
    with file.open("rb") as opened:
        end = opened.seek(0, 2)
        opened.seek(0)
        length = int.from_bytes(opened.read(8), "little")
        if end < 8 or length > end - 8:
            raise InputError(
                f"{file}: truncated, or no safetensors file: a header of {length:,} bytes in a"
                f" file of {end:,}"
            )
        if length > LONGEST_HEADER:
            raise InputError(f"{file}: header of {length:,} bytes; at most {LONGEST_HEADER:,}")
        return opened.read(length), 8 + length, end


def _metadata(value: Any, file: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InputError(f"{file}: __metadata__: expected texts by name")
    return value


def _range(entry: Any, where: str) -> tuple[int, int]:
    """First and last byte of a tensor after the header, which agree with its type and shape."""
    if not isinstance(entry, dict) or set(entry) != _PARTS:
        raise InputError(f"{where}: expected dtype, shape and data_offsets, found {entry!r:.80}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise InputError(
            f"{where}: cannot read the type {dtype!r}{nearest(str(dtype), ITEM_SIZES)}"
        )
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise InputError(f"{where}: shape {shape!r:.60} and offsets {offsets!r:.60} cannot be")
    first, last = offsets
    size = math.prod(shape) * ITEM_SIZES[dtype]
    if last - first != size:
        raise InputError(
            f"{where}: {dtype} of shape {shape!r:.60} takes {size:,} bytes, its offsets hold"
            f" {last - first:,}"
        )
    return first, last


def _naturals(value: Any) -> bool:
    # bool is an int to Python, and true as a size would pass
    return isinstance(value, list) and all(type(part) is int and part >= 0 for part in value)
