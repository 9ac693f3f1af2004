"""A folder of `torch.distributed.checkpoint` before its bytes: one data file and its metadata.

The metadata are the objects that torch writes there (``torch.distributed.checkpoint.metadata``),
as symbols; torch's own reader takes them for a flat state dict.
"""

import json
from collections.abc import Mapping
from typing import Any

from counterpoint.checkpoints._distributed import METADATA
from counterpoint.checkpoints._new_torch import NewTorchFile, torch_type
from counterpoint.checkpoints._opcodes import PickledCall, Symbol
from counterpoint.checkpoints._pickled import pickled
from counterpoint.checkpoints._tensor import StoredTensor
from counterpoint.checkpoints._torch_file import TEXTS

DATA = "__0_0.distcp"
"""The file that holds all tensors: rank 0's first."""

_ROOM = "torch.distributed.checkpoint"


def beside(file: NewTorchFile, metadata: Mapping[str, str]) -> dict[str, bytes]:
    """The small files of the folder: by name."""
    texts = {TEXTS: json.dumps(dict(metadata), indent=1).encode() + b"\n"} if metadata else {}
    return {METADATA: pickled(_metadata(file)), **texts}


def _metadata(file: NewTorchFile) -> PickledCall:
    storage = dict[Any, Any]()
    for name, tensor in file.tensors.items():
        begin, archive = file.archives[file.members[name][0]]
        info = {"relative_path": DATA, "offset": begin, "length": archive.size}
        index = {"fqn": name, "offset": _size((0,) * len(tensor.shape)), "index": 0}
        key = _made("metadata.MetadataIndex", index)
        storage[key] = _made("filesystem._StorageInfo", info)
    return _made(
        "metadata.Metadata",
        {
            "state_dict_metadata": {name: _listed(t) for name, t in file.tensors.items()},
            "planner_data": {name: (name,) for name in file.tensors},
            "storage_data": storage,
            "storage_meta": None,
            "version": "1.0.0",
        },
    )


def _listed(tensor: StoredTensor) -> PickledCall:
    layout = PickledCall(Symbol("torch.serialization._get_layout"), ("torch.strided",))
    contiguous = PickledCall(Symbol(f"{_ROOM}.metadata._MEM_FORMAT_ENCODING"), (0,))
    properties = PickledCall(
        Symbol(f"{_ROOM}.metadata.TensorProperties"),
        (),
        (torch_type(tensor.dtype), layout, False, contiguous, False),
    )
    extent = {"offsets": _size((0,) * len(tensor.shape)), "sizes": _size(tensor.shape)}
    state = {
        "properties": properties,
        "size": _size(tensor.shape),
        "chunks": [_made("metadata.ChunkStorageMetadata", extent)],
    }
    return _made("metadata.TensorStorageMetadata", state)


def _made(name: str, state: dict[str, Any]) -> PickledCall:
    return PickledCall(Symbol(f"{_ROOM}.{name}"), (), state)


def _size(shape: tuple[int, ...]) -> PickledCall:
    return PickledCall(Symbol("torch.Size"), (shape,))
