"""A file of `torch.save`, and the archives in one of `torch.distributed.checkpoint`, before bytes.

A state dict of plain tensors: ``torch.load(weights_only=True)`` reads it. How it was made is in a
member of its own beside, which torch does not ask for.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from counterpoint.checkpoints._new_zip import ALIGNED, NewArchive
from counterpoint.checkpoints._opcodes import PickledCall, Reference, Symbol
from counterpoint.checkpoints._pickled import ordered, pickled
from counterpoint.checkpoints._tensor import StoredTensor, contiguous, whole
from counterpoint.checkpoints._torch_file import DTYPES, STORAGES, TEXTS

ROOT = (
    "archive"  # of all members: what torch calls it in memory; a file's name would be in its bytes
)
_TYPES = {short: name for name, short in DTYPES.items()}
_STORAGES = {short: name for name, short in STORAGES.items()}


@dataclass(frozen=True)
class NewTorchFile:
    """A file of archives of `torch.save` that is to be written: one state dict, or one a tensor.

    Attributes:
        path: where.
        tensors: by name, with the places of their bytes.
        size: bytes in all.
        archives: where each begins, and what it holds.
        members: a tensor's name -> the archive it is in, and its member there.
    """

    path: Path
    tensors: Mapping[str, StoredTensor]
    size: int
    archives: tuple[tuple[int, NewArchive], ...]
    members: Mapping[str, tuple[int, str]]

    def frame(
        self, metadata: Mapping[str, str], sums: Mapping[str, int]
    ) -> Iterator[tuple[int, bytes]]:
        """All bytes that are no tensor's, and where they go.

        Args:
            metadata: texts, as long as those that the file was laid out with.
            sums: of each tensor the ``zlib.crc32`` of its bytes.
        """
        for place, (begin, archive) in enumerate(self.archives):
            own = {m: sums[name] for name, (at, m) in self.members.items() if at == place}
            if metadata:
                archive = _with_texts(archive, metadata)
            for at, content in archive.frame(own):
                yield begin + at, content


def state_file(
    path: Path,
    tensors: Mapping[str, StoredTensor],
    ties: Mapping[str, str],
    metadata: Mapping[str, str],
) -> NewTorchFile:
    """A file of one state dict.

    Args:
        path: where.
        tensors: what it holds.
        ties: another name of a tensor -> the one whose storage it shares.
        metadata: texts, as long as those that will be there at the end.
    """
    keys = {name: str(place) for place, name in enumerate(n for n in tensors if n not in ties)}
    state = {n: _tensor(tensor, keys[ties.get(n, n)]) for n, tensor in tensors.items()}
    sizes = {key: tensors[name].size for name, key in keys.items()}
    archive = NewArchive.of(_contents(pickled(ordered(state)), sizes, metadata))
    places = {member.name: member.offset for member in archive.members}
    members = {name: (0, f"{ROOT}/data/{key}") for name, key in keys.items()}
    there = {
        name: _at(tensor, path, places[members[ties.get(name, name)][1]])
        for name, tensor in tensors.items()
    }
    return NewTorchFile(path, there, archive.size, ((0, archive),), members)


def tensor_file(path: Path, tensors: Mapping[str, StoredTensor]) -> NewTorchFile:
    """A file of an archive a tensor, one after the other."""
    archives, there = list[tuple[int, NewArchive]](), dict[str, StoredTensor]()
    members, at = dict[str, tuple[int, str]](), 0
    for name, tensor in tensors.items():
        at = -(-at // ALIGNED) * ALIGNED
        archive = NewArchive.of(_contents(pickled(_tensor(tensor, "0")), {"0": tensor.size}, {}))
        (data,) = (member for member in archive.members if member.content is None)
        there[name] = _at(tensor, path, at + data.offset)
        members[name] = (len(archives), data.name)
        archives.append((at, archive))
        at += archive.size
    return NewTorchFile(path, there, at, tuple(archives), members)


def torch_type(dtype: str) -> Symbol:
    """The word of torch for a type."""
    return Symbol(f"torch.{_TYPES[dtype]}")


def _contents(
    index: bytes, sizes: Mapping[str, int], metadata: Mapping[str, str]
) -> Sequence[tuple[str, int | bytes]]:
    said = [(f"{ROOT}/{TEXTS}", _texts(metadata))] if metadata else []
    return [
        (f"{ROOT}/data.pkl", index),
        (f"{ROOT}/byteorder", b"little"),
        *said,
        *((f"{ROOT}/data/{key}", size) for key, size in sizes.items()),
        (f"{ROOT}/version", b"3\n"),
    ]


def _texts(metadata: Mapping[str, str]) -> bytes:
    return json.dumps(dict(metadata)).encode()


def _with_texts(archive: NewArchive, metadata: Mapping[str, str]) -> NewArchive:
    found = [
        replace(member, content=_texts(metadata)) if member.name.endswith(TEXTS) else member
        for member in archive.members
    ]
    return NewArchive(tuple(found))


def _tensor(tensor: StoredTensor, key: str) -> PickledCall:
    """The call by which torch makes a tensor of a storage."""
    kind, elements, version = _STORAGES.get(tensor.dtype), tensor.elements, "v2"
    more: tuple[Any, ...] = ()
    if kind is None:
        # types since torch 2.3 have no storage of their own: bytes, and the type behind them
        elements, version = tensor.size, "v3"
        more = (torch_type(tensor.dtype),)
    storage = Symbol("torch.storage.UntypedStorage" if kind is None else f"torch.{kind}Storage")
    reference = Reference(("storage", storage, key, "cpu", elements))
    hooks = PickledCall(Symbol("collections.OrderedDict"), ())
    arguments = (reference, 0, tensor.shape, contiguous(tensor.shape), False, hooks, *more)
    return PickledCall(Symbol(f"torch._utils._rebuild_tensor_{version}"), arguments)


def _at(tensor: StoredTensor, path: Path, offset: int) -> StoredTensor:
    return whole(tensor.name, tensor.dtype, tensor.shape, path, offset)
