"""Named tensors as the bytes of a safetensors file: the one module of a folder that needs torch."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from counterpoint.errors import InputError


def to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """The tensors as one file's content."""
    # a copy each: safetensors refuses tensors that share memory, and tied weights do
    return save({key: t.detach().to("cpu", copy=True).contiguous() for key, t in tensors.items()})


def from_bytes(content: bytes, file: Path) -> dict[str, Tensor]:
    """The tensors of a file's content; the file is for the message."""
    try:
        return load(content)
    except SafetensorError as error:
        raise InputError(f"{file}: not readable: {error}") from error
