"""See that a merged file is what its recipe makes of its inputs, and that nothing of it changed."""

import hashlib
import json
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from counterpoint.checkpoints import (
    ITEM_SIZES,
    Checkpoint,
    Reader,
    StoredTensor,
    content_digest,
    open_checkpoint,
)
from counterpoint.errors import InputError
from counterpoint.merge.files._compute import Worker, ready_method
from counterpoint.merge.files._digest import joined, of_source
from counterpoint.merge.files._prepared import CHUNK, KEY, Part, PreparedMerge, prepare
from counterpoint.merge.files._recipe import MergeRecipe
from counterpoint.plain import StrPath, from_plain


@dataclass(frozen=True)
class VerifiedMerge:
    """What was found of a merged file.

    Attributes:
        out: the file or folder.
        undamaged: whether its tensors have the bytes that were written.
        inputs: each source, and whether its contents are those that were merged.
        pieces: how many pieces were made again from the inputs.
        differing: names of tensors in which a piece came out otherwise.
    """

    out: str
    undamaged: bool
    inputs: tuple[tuple[str, bool], ...]
    pieces: int
    differing: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether all is as the file says."""
        return self.undamaged and not self.differing and all(same for _, same in self.inputs)


def verify_merge(
    out: StrPath,
    inputs: Sequence[StrPath] = (),
    *,
    pieces: int = 16,
    seed: int = 0,
) -> VerifiedMerge:
    """Check a merged file against itself, and against its inputs.

    Every byte of the result and of its inputs is hashed and compared with what the file says of
    them; some pieces, chosen by `seed`, are merged again and compared bit by bit.

    Args:
        out: what `write_merge` wrote.
        inputs: where its sources are now, the base last; none: where they were.
        pieces: how many to merge again.
        seed: chooses them.

    Raises:
        InputError: it is no merged file, or an input is not there.
    """
    if pieces < 0:
        raise InputError(f"verify: pieces must be 0 or more, found {pieces}")
    found = open_checkpoint(out)
    said = _said(found)
    recipe = from_plain(MergeRecipe, said["recipe"], f"{out}: recipe")
    if inputs:
        recipe = _moved(recipe, [str(path) for path in inputs])
    prepared = prepare(recipe)
    parts = prepared.parts()
    digests = said["sources"]
    # all of it: an input that changed in one place is another input
    sources = tuple(
        (str(source.path), _digest(prepared, place) == digests[place])
        for place, source in enumerate(prepared.sources)
    )
    with Reader() as reader:
        checksums = [_checksum(reader, found.tensors[part.name], part) for part in parts]
    # a generator of its own, so that nobody's random numbers change
    chosen = random.Random(seed).sample(range(len(parts)), min(pieces, len(parts)))
    differing = [
        parts[n].name for n, same in _again(prepared, parts, chosen, checksums) if not same
    ]
    return VerifiedMerge(
        str(out),
        content_digest(checksums) == said["content"],
        sources,
        len(chosen),
        tuple(dict.fromkeys(differing)),
    )


def _said(found: Checkpoint) -> dict[str, Any]:
    try:
        said = json.loads(found.metadata[KEY])
        if len(said["sources"]) >= 2 and {"recipe", "content"} <= set(said):
            return said
    except (KeyError, ValueError, TypeError):
        pass
    raise InputError(
        f"{found.path}: does not say how it was merged; was it written by this program?"
    )


def _moved(recipe: MergeRecipe, paths: list[str]) -> MergeRecipe:
    # evidence stays where it was: its contents are not in the file
    if len(paths) != len(recipe.sources):
        raise InputError(
            f"verify: expected {len(recipe.sources)} sources ({', '.join(recipe.sources)}), found"
            f" {len(paths)}"
        )
    count = len(recipe.inputs)
    base = paths[count] if recipe.base else ""
    return replace(recipe, inputs=tuple(paths[:count]), base=base)


def _digest(prepared: PreparedMerge, place: int) -> str:
    tensors, stored = dict[str, bytes](), dict[str, StoredTensor]()
    with Reader() as reader:
        for tensor in prepared.tensors:
            one = prepared.stored(place, tensor.name)
            size = CHUNK * ITEM_SIZES[one.dtype]
            chunks = list[bytes]()
            for first in range(0, max(one.size, 1), size):
                content = bytearray(min(size, one.size - first))
                reader.read(one, first, memoryview(content))
                chunks.append(hashlib.sha256(content).digest())
            tensors[tensor.name], stored[tensor.name] = joined(chunks), one
    return of_source(tensors, stored)


def _checksum(reader: Reader, stored: StoredTensor, part: Part) -> int:
    item, checksum = ITEM_SIZES[stored.dtype], 0
    for first in range(part.first, part.last, CHUNK):
        content = bytearray((min(first + CHUNK, part.last) - first) * item)
        reader.read(stored, first * item, memoryview(content))
        checksum = zlib.crc32(content, checksum)
    return checksum


def _again(
    prepared: PreparedMerge, parts: Sequence[Part], chosen: Sequence[int], checksums: Sequence[int]
) -> list[tuple[int, bool]]:
    """Parts, and whether they come out of the inputs as they are in the result."""
    with Reader() as reader:
        worker = Worker(prepared, *ready_method(prepared, reader))
        with worker.reader:
            return [
                (n, worker.merge(parts[n], lambda *_: None)[0] == checksums[n])
                for n in sorted(chosen)
            ]
