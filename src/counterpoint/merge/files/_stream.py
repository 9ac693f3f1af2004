"""Merge files into a file: streamed, in bounded memory, and gone on with where it was killed."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from counterpoint.checkpoints import (
    ITEM_SIZES,
    Checkpoint,
    CheckpointWriter,
    Reader,
    companions,
    is_file,
    refuse_taken,
)
from counterpoint.errors import InputError
from counterpoint.merge._plan import Weights
from counterpoint.merge.files._compute import Worker, ready_method
from counterpoint.merge.files._digest import SIZE, joined, of_source
from counterpoint.merge.files._prepared import KEY, Part, PreparedMerge, prepare, refuse_same
from counterpoint.merge.files._recipe import recipe_of
from counterpoint.plain import StrPath, to_plain
from counterpoint.storage import DISK, FileSystem

Tell = Callable[[int, int], object]


@dataclass(frozen=True)
class FileMerge:
    """A merge of files that has ended.

    Attributes:
        out: the file or folder.
        tensors: how many it holds.
        size: bytes of its tensors.
        seconds: how long it took, this time.
        resumed: parts that an earlier, interrupted merge had written.
        inputs: the digest of each source's contents.
        notes: what whoever asked should know.
    """

    out: str
    tensors: int
    size: int
    seconds: float
    resumed: int
    inputs: tuple[str, ...]
    notes: tuple[str, ...]


def write_merge(
    prepared: PreparedMerge,
    out: StrPath,
    *,
    overwrite: bool = False,
    threads: int = 0,
    tell: Tell | None = None,
    disk: FileSystem = DISK,
) -> FileMerge:
    """Merge what was prepared into a `.safetensors` file, or a folder of shards.

    Elementwise methods read pieces of a few megabytes, others one tensor of every source at a
    time. The result's bytes depend on neither `threads` nor restarts. Killed at any moment, the
    same call goes on; what was refused leaves nothing.

    Args:
        prepared: inputs and plan.
        out: the result's name; a folder has the shards of the first input.
        overwrite: replace a weight file or folder that is there.
        threads: workers; 0: as many as there are cores, four at most.
        tell: called with bytes done and bytes in all.
        disk: the file system; tests pass one that fails.

    Raises:
        InputError: the name is taken or an input's, the disk is too small, a file changed while it
            was read, or a result is not finite where the inputs are.
    """
    began, out = time.monotonic(), Path(out)
    if threads < 0:
        raise InputError(f"merge: threads must be 0 (one a core) or more, found {threads}")
    # before anything is made: a name that is an input's would be gone with the first rename
    refuse_same(prepared.recipe, out)
    refuse_taken(out, overwrite=overwrite)
    parts = prepared.parts()
    items = {tensor.name: ITEM_SIZES[tensor.dtype] for tensor in prepared.tensors}
    ranges = [(p.name, p.first * items[p.name], p.last * items[p.name]) for p in parts]
    tensors = [replace(t, shard="") for t in prepared.tensors] if is_file(out) else prepared.tensors
    writer = CheckpointWriter(
        out,
        tensors,
        ranges,
        hashlib.sha256(prepared.identity(_stamps(prepared.sources)).encode()).hexdigest(),
        payload=SIZE * len(prepared.sources),
        # as long as what will be there at the end: the header is written first
        metadata=_metadata(prepared, ["0" * 2 * SIZE] * len(prepared.sources), "0" * 2 * SIZE),
        # configurations and tokenizers: without them a folder of weights is loaded by nobody
        copies=() if is_file(out) else companions(prepared.sources[0]),
        overwrite=overwrite,
        disk=disk,
    )
    with writer:
        resumed = len(writer.recorded)
        _run(prepared, parts, ranges, writer, threads or min(4, os.cpu_count() or 1), tell)
        digests = _source_digests(prepared, parts, writer.recorded)
        writer.finish(_metadata(prepared, digests, writer.content()))
    # not of the files: headers and what resuming saved are no work
    size = sum(last - first for _, first, last in ranges)
    seconds = time.monotonic() - began
    return FileMerge(str(out), len(tensors), size, seconds, resumed, tuple(digests), prepared.notes)


def merge_files(
    inputs: Sequence[StrPath],
    out: StrPath,
    weights: Weights = None,
    *,
    overwrite: bool = False,
    threads: int = 0,
    **recipe: Any,
) -> FileMerge:
    """Merge files into a file or folder in one call: `recipe_of`, `prepare` and `write_merge`.

    Args:
        inputs: two or more weight files or folders.
        out: a ``.safetensors`` file, or a folder.
        weights: as `counterpoint.merge.merge` takes them; tensors are not kept in files.
        overwrite: replace a weight file or folder that is there.
        threads: workers; 0: as many as there are cores, four at most.
        recipe: ``first``, ``method``, ``base``, ``evidence``, ``buffers``, ``dtype``, ``options``:
            see `MergeRecipe`.

    Raises:
        InputError: see `prepare` and `write_merge`.
    """
    prepared = prepare(recipe_of(inputs, weights, **recipe))
    return write_merge(prepared, out, overwrite=overwrite, threads=threads)


def _run(
    prepared: PreparedMerge,
    parts: Sequence[Part],
    ranges: Sequence[tuple[str, int, int]],
    writer: CheckpointWriter,
    threads: int,
    tell: Tell | None,
) -> None:
    total = sum(last - first for _, first, last in ranges)
    done = sum(ranges[part][2] - ranges[part][1] for part in writer.recorded)
    todo = iter([part for part in range(len(parts)) if part not in writer.recorded])
    lock = Lock()

    # threads, since reading, hashing and torch's kernels all let go of the interpreter
    def work(worker: Worker) -> None:
        nonlocal done
        with worker.reader:
            while True:
                # in the order of the first input's bytes, so that disks read ahead
                with lock:
                    part = next(todo, None)
                if part is None:
                    return
                write = partial(writer.write, parts[part].name)
                checksum, payload = worker.merge(parts[part], write)
                # only now: what the journal names is in the file
                with lock:
                    writer.record(part, checksum, payload)
                    done += ranges[part][2] - ranges[part][1]
                    if tell is not None:
                        tell(done, total)

    inside = torch.get_num_threads()
    # the workers are the parallelism: kernels of a few megabytes gain nothing from more
    torch.set_num_threads(1)
    try:
        with Reader() as reader, ThreadPoolExecutor(threads) as pool:
            method, told = ready_method(prepared, reader)
            workers = [Worker(prepared, method, told) for _ in range(threads)]
            running = [pool.submit(work, worker) for worker in workers]
            try:
                for each in running:
                    each.result()
            except BaseException:
                # the others stop after the part that they are at
                for _ in islice(todo, len(parts)):
                    pass
                raise
    finally:
        torch.set_num_threads(inside)


def _stamps(sources: Sequence[Checkpoint]) -> list[str]:
    """What tells the files of one time from those of another without reading them."""
    found = list[str]()
    for source in sources:
        for file in source.files:
            # an input that was written anew begins the merge anew; its contents are hashed later
            state = file.stat()
            found.append(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}")
    return found


def _source_digests(
    prepared: PreparedMerge, parts: Sequence[Part], recorded: Mapping[int, bytes]
) -> list[str]:
    found = list[str]()
    for place in range(len(prepared.sources)):
        chunks: dict[str, list[bytes]] = {}
        whole: dict[str, bytes] = {}
        for number, part in enumerate(parts):
            digest = recorded[number][SIZE * place : SIZE * (place + 1)]
            if part.whole:
                whole[part.name] = digest
            else:
                chunks.setdefault(part.name, []).append(digest)
        tensors = whole | {name: joined(each) for name, each in chunks.items()}
        stored = {name: prepared.stored(place, name) for name in tensors}
        found.append(of_source(tensors, stored))
    return found


def _metadata(prepared: PreparedMerge, digests: Sequence[str], content: str) -> dict[str, str]:
    """What the result says of itself."""
    # everything of a fixed length once the recipe is known, since the header is laid out first
    value = {
        "version": version("counterpoint"),
        "recipe": to_plain(prepared.recipe),
        "sources": list(digests),
        "content": content,
    }
    return {"format": "pt", KEY: json.dumps(value, ensure_ascii=True)}
