"""Where a merge of files goes, in which form, and what the result says of itself."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from counterpoint.checkpoints import (
    ITEM_SIZES,
    Checkpoint,
    CheckpointWriter,
    NewTensor,
    companions,
    layout_of,
)
from counterpoint.merge.files._digest import SIZE
from counterpoint.merge.files._prepared import KEY, Part, PreparedMerge
from counterpoint.plain import to_plain
from counterpoint.storage import DISK, FileSystem


@dataclass(frozen=True)
class MergeTarget:
    """A name, and the form of what gets it.

    Attributes:
        out: the file or folder.
        layout: of a folder, where it is not that of the first input.
        overwrite: replace a weight file or folder that is there.
    """

    out: str
    layout: str = ""
    overwrite: bool = False

    def writer(
        self,
        prepared: PreparedMerge,
        parts: Sequence[Part],
        *,
        member: int = 0,
        disk: FileSystem = DISK,
    ) -> CheckpointWriter:
        """What takes the bytes of the parts.

        Args:
            prepared: the merge.
            parts: its parts.
            member: the number of this process.
            disk: the file system.
        """
        first = prepared.sources[0]
        layout = layout_of(Path(self.out), self.layout, first.layout)
        blank = ["0" * 2 * SIZE] * len(prepared.sources)
        identity = prepared.identity(_stamps(prepared.sources))
        return CheckpointWriter(
            Path(self.out),
            _tensors(prepared, layout),
            byte_ranges(prepared, parts),
            hashlib.sha256(identity.encode()).hexdigest(),
            # of each source what identifies the part, and whether it is finite there
            payload=(SIZE + 1) * len(prepared.sources),
            # as long as what will be there at the end: the header is written first
            metadata=metadata_of(prepared, blank, blank[0]),
            # configurations and tokenizers: without them a folder of weights is loaded by nobody
            copies=companions(first) if layout == "sharded safetensors" else (),
            layout="distributed" if layout == "distributed" else "",
            member=member,
            overwrite=self.overwrite,
            disk=disk,
        )


def byte_ranges(prepared: PreparedMerge, parts: Sequence[Part]) -> list[tuple[str, int, int]]:
    """Of each part the tensor, its first byte, and the one behind its last."""
    items = {tensor.name: ITEM_SIZES[tensor.dtype] for tensor in prepared.tensors}
    return [(p.name, p.first * items[p.name], p.last * items[p.name]) for p in parts]


def metadata_of(prepared: PreparedMerge, digests: Sequence[str], content: str) -> dict[str, str]:
    """What the result says of itself.

    Args:
        prepared: the merge.
        digests: of each source's contents.
        content: of the result's.
    """
    # everything of a fixed length once the recipe is known, since the header is laid out first
    value = {
        "version": version("counterpoint"),
        "recipe": to_plain(prepared.recipe),
        "sources": list(digests),
        "content": content,
    }
    return {"format": "pt", KEY: json.dumps(value, ensure_ascii=True)}


def _tensors(prepared: PreparedMerge, layout: str) -> Sequence[NewTensor]:
    if layout == "sharded safetensors":
        return prepared.tensors
    alone = {t.name: replace(t, shard="") for t in prepared.tensors}
    # what keeps an order of names has that of the first input, by which layers are numbered
    return [alone[name] for name in prepared.sources[0].tensors]


def _stamps(sources: Sequence[Checkpoint]) -> list[str]:
    """What tells the files of one time from those of another without reading them."""
    found = list[str]()
    for source in sources:
        for file in source.files:
            # an input that was written anew begins the merge anew; its contents are hashed later
            state = file.stat()
            found.append(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}")
    return found
