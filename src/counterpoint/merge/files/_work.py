"""Merge parts in threads of this process, in processes of this machine, or in ranks of a group.

However it is done, a part's bytes go where they go: processes and ranks take ranges of the output
that follow each other, and each keeps a journal of its own.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from threading import Lock

import torch

from counterpoint.checkpoints import CheckpointWriter, Reader
from counterpoint.merge.files._compute import Worker, ready_method
from counterpoint.merge.files._prepared import Part, PreparedMerge

Tell = Callable[[int], object]


def merge_parts(
    prepared: PreparedMerge,
    parts: Sequence[Part],
    writer: CheckpointWriter,
    todo: Sequence[int],
    threads: int,
    tell: Tell,
) -> None:
    """Merge some parts in threads.

    Args:
        prepared: the merge.
        parts: all of its parts.
        writer: takes the bytes.
        todo: which parts.
        threads: how many.
        tell: called with each part that is done, one at a time.
    """
    left, lock = iter(todo), Lock()

    # threads, since reading, hashing and torch's kernels all let go of the interpreter
    def work(worker: Worker) -> None:
        with worker.reader:
            while True:
                # in the order of the first input's bytes, so that disks read ahead
                with lock:
                    part = next(left, None)
                if part is None:
                    return
                checksum, payload = worker.merge(
                    parts[part], partial(writer.write, parts[part].name)
                )
                # only now: what the journal names is in the file
                with lock:
                    writer.record(part, checksum, payload)
                    tell(part)

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
                for _ in islice(left, len(parts)):
                    pass
                raise
    finally:
        torch.set_num_threads(inside)


def ranges_of(todo: Sequence[int], sizes: Sequence[int], count: int) -> list[list[int]]:
    """Parts in ranges that follow each other, of about as many bytes each.

    >>> ranges_of([0, 1, 2, 3], [5, 5, 5, 5], 2)
    [[0, 1], [2, 3]]
    """
    total, done = sum(sizes[part] for part in todo), 0
    found: list[list[int]] = [[] for _ in range(count)]
    for part in todo:
        # by the middle of each part: none is in two ranges, and none is left out
        place = (2 * done + sizes[part]) * count // max(2 * total, 1)
        found[min(place, count - 1)].append(part)
        done += sizes[part]
    return found
