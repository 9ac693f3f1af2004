"""Merge files into a file: streamed, in bounded memory, and gone on with where it was killed."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterpoint.checkpoints import CheckpointWriter, layout_of, refuse_taken
from counterpoint.errors import InputError
from counterpoint.merge._plan import Weights
from counterpoint.merge.files._digest import SIZE, joined, of_source
from counterpoint.merge.files._member import job_of
from counterpoint.merge.files._prepared import Part, PreparedMerge, prepare, refuse_same
from counterpoint.merge.files._processes import in_processes
from counterpoint.merge.files._ranks import MergeRanks
from counterpoint.merge.files._recipe import recipe_of
from counterpoint.merge.files._target import MergeTarget, byte_ranges, metadata_of
from counterpoint.merge.files._work import merge_parts, ranges_of
from counterpoint.plain import StrPath
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
    layout: str = "",
    overwrite: bool = False,
    threads: int = 0,
    processes: int = 1,
    tell: Tell | None = None,
    disk: FileSystem = DISK,
) -> FileMerge:
    """Merge what was prepared into a weight file or folder.

    Elementwise methods read pieces of a few megabytes, others one tensor of every source at a
    time. The result's bytes depend on neither `threads`, `processes`, ranks nor restarts. Killed
    at any moment, the same call goes on; what was refused leaves nothing. MergeRanks of
    `torch.distributed`, which torchrun starts, all make the same call and share the work.

    Args:
        prepared: inputs and plan.
        out: a ``.safetensors`` file; a file of `torch.save` (``.pt``, ``.pth``, ``.bin``,
            ``.ckpt``); or a folder.
        layout: of a folder: ``"safetensors"``, with the shards of the first input, or
            ``"distributed"``, as `torch.distributed.checkpoint` reads it; by default that of the
            first input.
        overwrite: replace a weight file or folder that is there.
        threads: workers of a process; 0: as many as there are cores, four at most, in all.
        processes: how many share the work on this machine.
        tell: called with bytes done and bytes in all.
        disk: the file system; tests pass one that fails.

    Raises:
        InputError: the name is taken or an input's, the disk is too small, a file changed while it
            was read, or a result is not finite where the inputs are.
        ChildProcessError: a process was killed; what is written is kept.
    """
    began = time.monotonic()
    if threads < 0 or processes < 1:
        raise InputError(
            "merge: threads must be 0 (one a core) or more and processes 1 or more, found"
            f" {threads} and {processes}"
        )
    with MergeRanks() as ranks:
        with ranks.together():
            if ranks.count > 1 and processes > 1:
                raise InputError("merge: ranks share the work already; leave out --processes")
            # before anything is made: a name that is an input's would be gone with the first rename
            refuse_same(prepared.recipe, Path(out))
            layout_of(Path(out), layout, prepared.sources[0].layout)
            if not ranks.rank:
                refuse_taken(Path(out), overwrite=overwrite)
        target = MergeTarget(str(out), layout, overwrite)
        threads = threads or max(1, min(4, os.cpu_count() or 1) // (processes * ranks.count))
        run = _Run(prepared, prepared.parts(), target, threads, processes, tell, disk)
        resumed, digests, odd = run.shared(ranks)
    # not of the files: headers and what resuming saved are no work
    size = sum(run.sizes)
    seconds = time.monotonic() - began
    count = len(prepared.tensors)
    notes = (*prepared.notes, *odd)
    return FileMerge(str(out), count, size, seconds, resumed, digests, notes)


def merge_files(
    inputs: Sequence[StrPath],
    out: StrPath,
    weights: Weights = None,
    *,
    overwrite: bool = False,
    layout: str = "",
    threads: int = 0,
    processes: int = 1,
    **recipe: Any,
) -> FileMerge:
    """Merge files into a file or folder in one call: `recipe_of`, `prepare` and `write_merge`.

    Args:
        inputs: two or more weight files or folders.
        out: a file, or a folder: see `write_merge`.
        weights: as `counterpoint.merge.merge` takes them; tensors are not kept in files.
        overwrite: replace a weight file or folder that is there.
        layout: of a folder: see `write_merge`.
        threads: workers; 0: as many as there are cores, four at most.
        processes: how many share the work.
        recipe: ``first``, ``method``, ``base``, ``evidence``, ``buffers``, ``dtype``, ``options``:
            see `MergeRecipe`.

    Raises:
        InputError: see `prepare` and `write_merge`.
    """
    prepared = prepare(recipe_of(inputs, weights, **recipe))
    return write_merge(
        prepared, out, layout=layout, overwrite=overwrite, threads=threads, processes=processes
    )


@dataclass
class _Run:
    """A merge under way: its parts, where they go, who shares the work and who is told."""

    prepared: PreparedMerge
    parts: Sequence[Part]
    target: MergeTarget
    threads: int
    processes: int
    tell: Tell | None
    disk: FileSystem

    def __post_init__(self) -> None:
        ranges = byte_ranges(self.prepared, self.parts)
        self.sizes = [last - first for _, first, last in ranges]
        self.done = 0

    def shared(self, ranks: MergeRanks) -> tuple[int, tuple[str, ...], list[str]]:
        """Do it; the first rank prepares and finishes.

        Returns:
            How many parts were there, the digest of each source, and what is odd of them.
        """
        todo, digests, odd = list[int](), list[str](), list[str]()
        with ExitStack() as stack:
            writer = self.target.writer(
                self.prepared, self.parts, member=ranks.rank, disk=self.disk
            )
            with ranks.together():
                if not ranks.rank:
                    stack.enter_context(writer)
                    todo = [p for p in range(len(self.parts)) if p not in writer.recorded]
                    self.done = sum(self.sizes) - sum(self.sizes[part] for part in todo)
            todo = ranks.told(todo)
            with ranks.together():
                own = ranges_of(todo, self.sizes, ranks.count)[ranks.rank]
                if ranks.rank:
                    with writer:
                        self._merge(writer, own)
                else:
                    self._merge(writer, own)
            with ranks.together():
                if not ranks.rank:
                    digests = self._finished(writer)
                    odd = _not_finite(self.prepared, self.parts, writer.recorded)
            return len(self.parts) - len(todo), tuple(ranks.told(digests)), ranks.told(odd)

    def _merge(self, writer: CheckpointWriter, todo: Sequence[int]) -> None:
        if self.processes == 1:
            merge_parts(self.prepared, self.parts, writer, todo, self.threads, self._say)
            return
        shares = ranges_of(todo, self.sizes, self.processes)
        jobs = [
            job_of(self.prepared.recipe, self.target, place, share, self.threads)
            for place, share in enumerate(shares, 1)
            if share
        ]
        in_processes(jobs, lambda: self._gathered(writer))

    def _gathered(self, writer: CheckpointWriter) -> None:
        before = len(writer.recorded)
        writer.gather()
        if len(writer.recorded) > before and self.tell is not None:
            self.tell(sum(self.sizes[part] for part in writer.recorded), sum(self.sizes))

    def _say(self, part: int) -> None:
        self.done += self.sizes[part]
        if self.tell is not None:
            self.tell(self.done, sum(self.sizes))

    def _finished(self, writer: CheckpointWriter) -> list[str]:
        self._gathered(writer)
        digests = _source_digests(self.prepared, self.parts, writer.recorded)
        writer.finish(metadata_of(self.prepared, digests, writer.content()))
        return digests


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
        _refuse_untied(prepared, place, tensors)
        stored = {name: prepared.stored(place, name) for name in tensors}
        found.append(of_source(tensors, stored))
    return found


def _refuse_untied(prepared: PreparedMerge, place: int, tensors: Mapping[str, bytes]) -> None:
    """See that what is one tensor in the first input is one here, too: by its digests."""
    for alias, name in prepared.plan.table.ties.items():
        if tensors[alias] != tensors[name]:
            first, other = (prepared.sources[k].path for k in (0, place))
            raise InputError(
                f"{other}: {name!r} and {alias!r} are one tensor in {first} and two different ones"
                " here; untie the first, or take the same architecture"
            )


def _not_finite(
    prepared: PreparedMerge, parts: Sequence[Part], recorded: Mapping[int, bytes]
) -> list[str]:
    """Of each source that has NaN or infinite numbers where that can be seen, its tensors."""
    begin = SIZE * len(prepared.sources)
    found = list[str]()
    for place, source in enumerate(prepared.sources):
        names = dict.fromkeys(
            part.name for n, part in enumerate(parts) if recorded[n][begin + place]
        )
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            found.append(
                f"{source.path}: holds numbers that are not finite, and so may the result, in"
                f" {', '.join(list(names)[:3])}{more}"
            )
    return found
