"""List the tensors of a file that `torch.save` wrote, without torch and without unpickling it.

The file is a zip archive: `data.pkl` says what there is, `data/0`, `data/1`, … are the storages as
they were in memory. The pickle is played with symbols (see `_opcodes`), the storages stay where
they are. What `torch.load(weights_only=True)` lets pass and is refused here: compressed storages,
views that cover one number many times, and (where it maps the file) storages that are too short.
"""

import reprlib
from pathlib import Path
from typing import Any

from counterpoint.checkpoints._json import strict_object
from counterpoint.checkpoints._names import Unwrapped, unwrap
from counterpoint.checkpoints._opcodes import PickledCall, Reference, Symbol, described
from counterpoint.checkpoints._tensor import ITEM_SIZES, Box, StoredTensor, refuse_overlap
from counterpoint.checkpoints._zip import ArchiveMember, members
from counterpoint.errors import InputError

STORAGES = {
    "Bool": "BOOL", "Byte": "U8", "Char": "I8", "Short": "I16", "Int": "I32", "Long": "I64",
    "Half": "F16", "BFloat16": "BF16", "Float": "F32", "Double": "F64", "ComplexFloat": "C64",
}  # fmt: skip
DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "int32": "I32",
    "uint32": "U32", "int64": "I64", "uint64": "U64", "float16": "F16", "bfloat16": "BF16",
    "float32": "F32", "float64": "F64", "complex64": "C64", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}  # fmt: skip
"""torch's words for the types, and the safetensors format's."""

_REBUILD = ("torch._utils.", "torch._tensor.")
_DENSE = {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3"}
_PLAIN_TYPES = {
    Symbol("torch.Tensor"),
    Symbol("torch.nn.parameter.Parameter"),
    Symbol("torch.nn.parameter.Buffer"),
}
TEXTS = "counterpoint.json"
"""The member, or the file beside data files, that says how a checkpoint of ours was made."""

_LONGEST_INDEX = 64 * 2**20  # a pickle takes some 150 bytes a tensor


def read_torch_file(file: Path) -> tuple[Unwrapped, dict[str, str]]:
    """The tensors of a file, and the texts that it has where it is one of ours.

    Raises:
        InputError: it is no zip archive of torch's, holds a whole module instead of a state dict,
            or a tensor in it is not all there.
    """
    with file.open("rb") as opened:
        if opened.read(4) != b"PK\x03\x04":
            raise InputError(
                f"{file}: truncated, or not a file of torch.save since torch 1.6; load it where"
                " you trust it and save it again as safetensors"
            )
    archive = TorchArchive(file)
    return unwrap(archive.content, file, archive.tensor), archive.texts()


class TorchArchive:
    """An archive of `torch.save`: a whole file, or a part of one.

    Raises:
        InputError: it is not one.
    """

    def __init__(self, file: Path, begin: int = 0, size: int | None = None) -> None:
        self._file, self._members = file, members(file, begin, size)
        roots = [name.removesuffix("data.pkl") for name in self._members if _is_index(name)]
        if len(roots) != 1:
            raise InputError(f"{file}: expected one data.pkl in the archive, found {len(roots)}")
        self._root = roots[0]
        order = self._members.get(f"{self._root}byteorder")
        if order is not None and order.read(16) != b"little":
            raise InputError(f"{file}: its bytes are in big-endian order; save it again")
        content = self._members[f"{self._root}data.pkl"].read(_LONGEST_INDEX)
        self.content = described(content, file)

    def texts(self) -> dict[str, str]:
        """What a file of ours says of itself; of others nothing."""
        member = self._members.get(f"{self._root}{TEXTS}")
        return {} if member is None else texts_of(member.read(_LONGEST_INDEX), self._file)

    def tensor(self, name: str, value: Any) -> StoredTensor | None:
        """The tensor that a value of the pickle is, if it is one.

        Raises:
            InputError: it is a kind of tensor that cannot be merged, or its bytes are not there.
        """
        value = _plain(value)
        if not isinstance(value, PickledCall) or not value.name.startswith(_REBUILD):
            return None
        where = f"{self._file}: {name!r:.80}"
        if value.name not in _DENSE:
            kind = value.name.rpartition(".")[2].removeprefix("_rebuild_")
            raise InputError(f"{where}: cannot read a tensor of the kind {kind!r}; save it dense")
        try:
            return self._view(name, value, where)
        except InputError:
            raise
        except (TypeError, LookupError, ValueError, AttributeError) as error:
            raise InputError(f"{where}: not a tensor as torch writes one: {error!s:.80}") from error

    def _view(self, name: str, value: PickledCall, where: str) -> StoredTensor:
        reference, first, sizes, strides, *rest = value.arguments
        shape, steps, (offset,) = naturals(sizes), naturals(strides), naturals([first])
        # v3 names the type, which its storage of bytes does not have
        typed = rest.pop(2) if value.name.endswith("v3") else None
        if len(rest) > 2 and rest[2]:
            raise InputError(f"{where}: is conjugated or negated when read; save .resolve_conj()")
        member, dtype, elements = self._storage(reference, typed, where)
        refuse_overlap(where, shape, steps)
        item = ITEM_SIZES[dtype]
        box = Box(self._file, member.offset + offset * item, (0,) * len(shape), shape, steps)
        if len(shape) != len(steps) or offset + box.span > elements:
            raise InputError(
                f"{where}: shape {shape}, strides {steps} and offset {offset} reach beyond its"
                f" storage of {elements:,} elements"
            )
        return StoredTensor(name, dtype, shape, (box,))

    def _storage(self, reference: Any, typed: Any, where: str) -> tuple[ArchiveMember, str, int]:
        if not isinstance(reference, Reference):
            raise ValueError("no storage")
        _, kind, key, _, count = reference.identity
        dtype = _dtype(kind if typed is None else typed, where)
        item = 1 if typed is not None else ITEM_SIZES[dtype]
        member = self._members.get(f"{self._root}data/{key!s:.20}")
        if member is None:
            raise InputError(f"{where}: the archive has no storage {key!r:.20}")
        if member.size != count * item:
            raise InputError(
                f"{where}: its storage has {member.size:,} bytes, it should be {count * item:,}"
            )
        return member, dtype, member.size // ITEM_SIZES[dtype]


def texts_of(content: bytes, file: Path) -> dict[str, str]:
    """What a checkpoint says of itself, as a header of safetensors does.

    Raises:
        InputError: it is no JSON object of texts.
    """
    found = strict_object(content, file, TEXTS)
    if not all(isinstance(text, str) for text in found.values()):
        raise InputError(f"{file}: {TEXTS}: expected texts by name")
    return found


def _is_index(name: str) -> bool:
    return name == "data.pkl" or (name.endswith("/data.pkl") and name.count("/") == 1)


def _plain(value: Any) -> Any:
    """The call that makes the tensor itself, inside those that make a parameter or buffer of it."""
    for _ in range(4):
        if not isinstance(value, PickledCall):
            break
        if value.name.startswith("torch._utils._rebuild_parameter"):
            value = value.arguments[0]
        elif value.name == "torch._tensor._rebuild_from_type_v2":
            function, kind, arguments, _ = value.arguments
            if kind not in _PLAIN_TYPES:
                break
            value = PickledCall(function, arguments)
    return value


def _dtype(kind: Any, where: str) -> str:
    name = kind.name.removeprefix("torch.") if isinstance(kind, Symbol) else ""
    dtype = DTYPES.get(name) or STORAGES.get(name.removesuffix("Storage"))
    if dtype is None:
        raise InputError(f"{where}: cannot read numbers of the type {name or '?'!r:.40}")
    return dtype


def naturals(values: Any) -> tuple[int, ...]:
    """Whole numbers, as a pickle holds a size.

    Raises:
        ValueError: they are something else.
    """
    # torch.Size is a call around a tuple
    sizes: Any = values
    if isinstance(values, PickledCall) and values.name == "torch.Size":
        (sizes,) = values.arguments
    if not all(type(value) is int and value >= 0 for value in sizes):
        raise ValueError(f"expected whole numbers, found {reprlib.repr(sizes)}")
    return tuple(sizes)
