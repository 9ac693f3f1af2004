"""From the bytes of all sources to those of the result, a piece or a tensor at a time."""

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from counterpoint.checkpoints import ITEM_SIZES, Reader, StoredTensor, open_checkpoint
from counterpoint.errors import InputError, nearest
from counterpoint.merge._entries import Policy
from counterpoint.merge._merge import kept
from counterpoint.merge._plan import Coefficient
from counterpoint.merge.files._digest import joined
from counterpoint.merge.files._prepared import CHUNK, Part, PreparedMerge
from counterpoint.merge.methods import Evidence, MergedTensor, MergeMethod, evidence_of, method_of
from counterpoint.plain import StrPath

TYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "U16": torch.uint16, "I32": torch.int32, "U32": torch.uint32, "I64": torch.int64,
    "U64": torch.uint64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32,
    "F64": torch.float64,
}  # fmt: skip

_BUDGET = 12 * 2**20
"""Bytes that one worker holds of one piece: of every source, the result, and what is between."""


@runtime_checkable
class Hash(Protocol):
    """What `hashlib` gives."""

    def update(self, data: memoryview, /) -> None:
        """Take more bytes in."""
        ...


Write = Callable[[int, memoryview], None]


class FileInputs:
    """All tensors that a method merges, read from the files when asked for: a `MergeInputs`."""

    def __init__(self, prepared: PreparedMerge, reader: Reader, told: Sequence[Evidence]) -> None:
        self._prepared, self._reader, self._told = prepared, reader, told

    def names(self) -> Sequence[str]:
        """Of the tensors that the method merges."""
        policies = self._prepared.plan.policies
        return [name for name, what in policies.items() if what is Policy.MERGE]

    def tensors(self, name: str) -> Sequence[Tensor]:
        """One an input."""
        return [self._read(place, name) for place in range(len(self._prepared.recipe.inputs))]

    def base(self, name: str) -> Tensor | None:
        """The common start."""
        return self._read(-1, name) if self._prepared.recipe.base else None

    def coefficients(self) -> Mapping[str, tuple[Coefficient, ...]]:
        """By name, one number an input."""
        return self._prepared.plan.coefficients

    def evidence(self) -> Sequence[Evidence]:
        """What is known of each input beside its tensors."""
        return self._told

    def _read(self, source: int, name: str) -> Tensor:
        return read_tensor(self._reader, self._prepared.stored(source, name))


class StoredEvidence(Mapping[str, Tensor]):
    """The tensors of a checkpoint, each read when it is asked for."""

    def __init__(self, path: str, reader: Reader) -> None:
        self._stored, self._reader = open_checkpoint(path).tensors, reader

    def __getitem__(self, name: str) -> Tensor:
        return read_tensor(self._reader, self._stored[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def read_tensor(reader: Reader, stored: StoredTensor) -> Tensor:
    """A whole tensor."""
    # as bytes first: the file says what they are, and torch aligns what it allocates
    content = torch.empty(stored.size, dtype=torch.uint8)
    if stored.size:
        reader.read(stored, 0, _view(content))
    return content.view(TYPES[stored.dtype]).reshape(stored.shape)


def load_state(path: StrPath) -> dict[str, Tensor]:
    """All tensors of a weight file or folder, in memory: a state dict.

    Raises:
        InputError: it cannot be used.
    """
    with Reader() as reader:
        found = open_checkpoint(path).tensors.items()
        return {name: read_tensor(reader, stored) for name, stored in found}


def ready_method(prepared: PreparedMerge, reader: Reader) -> tuple[MergeMethod, Sequence[Evidence]]:
    """The method with its settings, which has seen all tensors where it must; and what it is told.

    Raises:
        InputError: the method has no such setting.
    """
    recipe = prepared.recipe
    method = method_of(recipe.method)
    known = [name for name in getattr(method, "__dataclass_fields__", {}) if name[0] != "_"]
    for name, value in recipe.options.items():
        if name not in known:
            raise InputError(
                f"method {recipe.method!r}: has no setting {name!r}{nearest(name, known)}"
            )
        usual = getattr(method, name)
        # a whole number is a number, and True is none
        kinds = (int, float) if isinstance(usual, float) else (type(usual),)
        if type(value) not in kinds:
            raise InputError(
                f"method {recipe.method!r}: {name} is a {kinds[-1].__name__}, such as {usual!r};"
                f" found {value!r}"
            )
    if recipe.options:
        # a method checks its own settings when it is made
        method = replace(method, **recipe.options)  # pyright: ignore[reportArgumentType]
    told = method.read([StoredEvidence(path, reader) for path in recipe.evidence])
    if method.facts.surveys:
        method = method.surveyed(FileInputs(prepared, reader, told))
    return method, told


class Worker:
    """Merges parts, one after the other, in memory of its own; one a thread.

    Args:
        prepared: the merge.
        method: the method, ready.
        told: what is known of each input beside its weights.
    """

    def __init__(
        self, prepared: PreparedMerge, method: MergeMethod, told: Sequence[Evidence]
    ) -> None:
        self._prepared, self._method, self._told = prepared, method, told
        self.reader = Reader()
        self._types = {tensor.name: tensor.dtype for tensor in prepared.tensors}
        self._buffers = [torch.empty(0, dtype=torch.uint8) for _ in prepared.sources]

    def merge(self, part: Part, write: Write) -> tuple[int, bytes]:
        """Merge a part and pass its bytes on, with their first byte in the tensor.

        Returns:
            The `zlib.crc32` of the bytes; the digests of what was read of each source, and behind
            them a byte a source: whether it has numbers there that are not finite.

        Raises:
            InputError: the result is not finite where the inputs are, masks differ, or a file
                changed.
        """
        stored = [self._prepared.stored(k, part.name) for k in range(len(self._buffers))]
        item = ITEM_SIZES[self._types[part.name]]
        step = part.last - part.first if part.whole else self._step(stored)
        hashes = [hashlib.sha256() for _ in stored]
        odd, checksum = bytearray(len(stored)), 0
        # a part is hashed as a whole, and merged in steps that fit into the memory of one worker
        for first in range(part.first, part.last, max(step, 1)):
            last = min(first + step, part.last)
            tensors = self._read(stored, first, last, None if part.whole else hashes)
            shape = stored[0].shape if part.whole else (last - first,)
            shaped = [tensor.reshape(shape) for tensor in tensors]
            merged = self._merged(part.name, shaped)
            sound = _finite(merged)
            # methods that see all of a tensor may trim what is not finite, so that it is not seen
            if part.whole or not sound:
                odd = bytearray(a | (not _finite(b)) for a, b in zip(odd, shaped, strict=True))
            if not sound:
                _refuse_infinite(merged, shaped, part.name, first)
            content = self._bytes(merged)
            write(first * item, content)
            checksum = zlib.crc32(content, checksum)
        if part.whole:
            return checksum, self._digests(stored) + bytes(odd)
        return checksum, b"".join(each.digest() for each in hashes) + bytes(odd)

    def _step(self, stored: Sequence[StoredTensor]) -> int:
        """Elements at once: a power of two that depends on the sources alone, not on threads."""
        # of each source as it is and in float32 at least; some for the result and what is between
        widest = max(4, *(ITEM_SIZES[tensor.dtype] for tensor in stored))
        step = CHUNK
        while step > 4096 and step * widest * (len(stored) + 4) > _BUDGET:
            step //= 2
        return step

    def _read(
        self,
        stored: Sequence[StoredTensor],
        first: int,
        last: int,
        hashes: Sequence[Hash] | None,
    ) -> list[Tensor]:
        found = list[Tensor]()
        for place, tensor in enumerate(stored):
            item = ITEM_SIZES[tensor.dtype]
            size = (last - first) * item
            # kept from part to part: memory that is new each time is zeroed by the system first
            if len(self._buffers[place]) < size:
                self._buffers[place] = torch.empty(size, dtype=torch.uint8)
            content = self._buffers[place][:size]
            view = _view(content)
            if size:
                self.reader.read(tensor, first * item, view)
            if hashes is not None:
                hashes[place].update(view)
            found.append(content.view(TYPES[tensor.dtype]))
        return found

    def _digests(self, stored: Sequence[StoredTensor]) -> bytes:
        """The digests of whole tensors that are in their buffers: of their chunks, as ever."""
        found = list[bytes]()
        for tensor, buffer in zip(stored, self._buffers, strict=True):
            content, size = _view(buffer[: tensor.size]), CHUNK * ITEM_SIZES[tensor.dtype]
            starts = range(0, max(tensor.size, 1), size)
            chunks = [hashlib.sha256(content[at : at + size]).digest() for at in starts]
            found.append(joined(chunks))
        return b"".join(found)

    def _merged(self, name: str, tensors: Sequence[Tensor]) -> Tensor:
        prepared = self._prepared
        known = prepared.known[name]
        what, shares = prepared.plan.policies[known], prepared.plan.coefficients.get(known, ())
        # the base, where there is one, is the last source
        inputs = tensors[: len(prepared.recipe.inputs)]
        if what is Policy.MERGE:
            base = tensors[-1] if prepared.recipe.base else None
            about = MergedTensor(known, base, evidence_of(known, self._told))
            merged = self._method.merge(inputs, shares, about)
        else:
            merged = kept(known, what, inputs, shares)
        # the one rounding: methods compute in float32 at least
        return merged.to(TYPES[self._types[name]]).contiguous()

    def _bytes(self, tensor: Tensor) -> memoryview:
        return _view(tensor.reshape(-1).view(torch.uint8))


def _view(content: Tensor) -> memoryview:
    return content.numpy().data


def _finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    # one pass: a sum is finite only if all are; a sum of finite numbers that is not is looked into
    if bool(torch.isfinite(tensor.sum(dtype=torch.float32))):
        return True
    return bool(torch.isfinite(tensor).all())


def _refuse_infinite(merged: Tensor, tensors: Sequence[Tensor], name: str, first: int) -> None:
    # where an input is infinite already the result may be, too
    bad = ~torch.isfinite(merged)
    for tensor in tensors:
        bad &= torch.isfinite(tensor)
    if bool(bad.any()):
        place = first + int(bad.reshape(-1).nonzero()[0])
        raise InputError(
            f"{name}: the result is not finite at element {place:,}, where all inputs are; weights"
            f" or type ({merged.dtype}) are too extreme for these numbers"
        )
