"""Which files a new checkpoint has, and where the bytes of its tensors go, before there are any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from counterpoint.checkpoints._distributed import METADATA
from counterpoint.checkpoints._new_distributed import DATA, beside
from counterpoint.checkpoints._new_safetensors import (
    INDEX,
    NewSafetensors,
    index_of,
    safetensors_file,
)
from counterpoint.checkpoints._new_torch import NewTorchFile, state_file, tensor_file
from counterpoint.checkpoints._tensor import ITEM_SIZES, StoredTensor, whole
from counterpoint.errors import InputError, one_of

TORCH = (".pt", ".pth", ".bin", ".ckpt")
"""Endings of files of `torch.save`."""

LAYOUTS = ("safetensors", "distributed")
"""Kinds of folders that are written."""

SINGLE = "model.safetensors"
_OTHERS = (
    ".onnx", ".gguf", ".npz", ".npy", ".h5", ".hdf5", ".pkl", ".pickle", ".msgpack", ".json",
    ".zip", ".tar", ".gz", ".tflite", ".pb", ".mlmodel", ".distcp",
)  # fmt: skip


NewFile: TypeAlias = NewSafetensors | NewTorchFile
"""A file before its bytes: both say their places, and `frame` what is between the tensors."""


@dataclass(frozen=True)
class NewTensor:
    """A tensor that is to be written.

    Attributes:
        name: its key.
        dtype: its type, a key of `ITEM_SIZES`.
        shape: its shape.
        shard: the file that is to hold it; empty where there is one file.
        same: another tensor's name, where both are one: a format that can has its bytes once.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: str = ""
    same: str = ""


@dataclass(frozen=True)
class NewCheckpoint:
    """A weight file or folder that is to be written.

    Attributes:
        layout: ``"safetensors"``, ``"pytorch"``, ``"sharded safetensors"`` or ``"distributed"``.
        files: those that hold tensors.
    """

    layout: str
    files: tuple[NewFile, ...]

    def texts(self, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """What goes into the files themselves: all of it, or what is not said beside them."""
        shards = {"format": "pt"} if self.layout == "sharded safetensors" else {}
        return metadata if self.layout in ("safetensors", "pytorch") else shards

    def beside(self, metadata: Mapping[str, str]) -> dict[str, bytes]:
        """The small files of a folder."""
        shards = [file for file in self.files if isinstance(file, NewSafetensors)]
        if self.layout == "sharded safetensors":
            return {INDEX: index_of(shards, metadata)}
        data = [file for file in self.files if isinstance(file, NewTorchFile)]
        return beside(data[0], metadata) if self.layout == "distributed" else {}


def lay_out(
    folder: Path, layout: str, tensors: Sequence[NewTensor], metadata: Mapping[str, str]
) -> NewCheckpoint:
    """Settle the places of all tensors.

    Args:
        folder: where the files will be prepared.
        layout: see `NewCheckpoint`.
        tensors: what they hold, in order.
        metadata: texts of the files, as long as those that will be there at the end.
    """
    if layout == "sharded safetensors":
        shards: dict[str, list[NewTensor]] = {}
        for tensor in tensors:
            shards.setdefault(tensor.shard or SINGLE, []).append(tensor)
        files = [
            safetensors_file(folder / name, _by_width(parts), {"format": "pt"})
            for name, parts in sorted(shards.items())
        ]
        return NewCheckpoint(layout, tuple(files))
    if layout == "safetensors":
        return NewCheckpoint(
            layout, (safetensors_file(folder / SINGLE, _by_width(tensors), metadata),)
        )
    places = {tensor.name: _unplaced(tensor) for tensor in tensors}
    if layout == "distributed":
        return NewCheckpoint(layout, (tensor_file(folder / DATA, places),))
    ties = {tensor.name: tensor.same for tensor in tensors if tensor.same}
    return NewCheckpoint(layout, (state_file(folder / SINGLE, places, ties, metadata),))


def is_file(out: Path) -> bool:
    """Whether a name is that of one file; any other is a folder's."""
    return out.name.endswith((".safetensors", *TORCH))


def layout_of(out: Path, wanted: str = "", like: str = "") -> str:
    """The layout that a name stands for.

    Args:
        out: the name.
        wanted: one of `LAYOUTS`, of a folder; empty: ``"distributed"`` where `like` is.
        like: the layout of what it is made of.

    Raises:
        InputError: a file's name and a folder's layout, or a format's that is not written.
    """
    if wanted:
        wanted = one_of("layout", wanted, LAYOUTS)
    if is_file(out):
        if wanted:
            raise InputError(f"{out}: is one file, and layout {wanted!r} is a folder's")
        return "pytorch" if out.name.endswith(TORCH) else "safetensors"
    if out.suffix.lower() in _OTHERS:
        written = ", ".join((".safetensors", *TORCH))
        raise InputError(f"{out}: {out.suffix} is not written; expected {written}, or a folder")
    distributed = wanted == "distributed" or (not wanted and like == "distributed")
    return "distributed" if distributed else "sharded safetensors"


def refuse_taken(out: Path, *, overwrite: bool) -> None:
    """Refuse a name that is taken, or would be taken by something else than a weight file of ours.

    Raises:
        InputError: says what is there.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise InputError(f"{out}: exists already; choose another name, or pass --overwrite")
    weights = out.is_file() if is_file(out) else any((out / n).is_file() for n in _MARKS)
    if out.is_symlink() or not weights:
        raise InputError(f"{out}: is no weight file or folder of ours, so it is not overwritten")


_MARKS = (INDEX, SINGLE, METADATA)


def _by_width(parts: Sequence[NewTensor]) -> dict[str, StoredTensor]:
    # wide types first, as safetensors' own writer has it: then every tensor is aligned
    ordered = sorted(parts, key=lambda part: -ITEM_SIZES[part.dtype])
    return {part.name: _unplaced(part) for part in ordered}


def _unplaced(tensor: NewTensor) -> StoredTensor:
    return whole(tensor.name, tensor.dtype, tensor.shape, Path(), 0)
