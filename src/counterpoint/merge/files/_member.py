"""What a process does that writes a range of another's merge."""

import json
import os
import sys
import threading
from typing import Any

from counterpoint.errors import InputError
from counterpoint.merge.files._prepared import prepare
from counterpoint.merge.files._recipe import MergeRecipe
from counterpoint.merge.files._target import MergeTarget
from counterpoint.merge.files._work import merge_parts
from counterpoint.plain import from_plain, to_plain

REFUSED, STOPPED = 2, 3
"""How such a process ends: with its refusal as the last line, or because the first one has."""


def job_of(
    recipe: MergeRecipe, target: MergeTarget, member: int, todo: list[int], threads: int
) -> dict[str, Any]:
    """What `main` reads, as plain values."""
    return {
        "recipe": to_plain(recipe),
        "target": to_plain(target),
        "member": member,
        "todo": todo,
        "threads": threads,
    }


def main() -> None:
    """Read a job from standard input and do it; end when standard input does."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    try:
        _do(job)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(REFUSED) from error


def _do(job: dict[str, Any]) -> None:
    prepared = prepare(from_plain(MergeRecipe, job["recipe"], "recipe"))
    target = from_plain(MergeTarget, job["target"], "target")
    parts = prepared.parts()
    with target.writer(prepared, parts, member=job["member"]) as writer:
        merge_parts(prepared, parts, writer, job["todo"], job["threads"], lambda _: None)


def _end_with_the_first() -> None:
    # a pipe ends with whoever holds its other end, however that ended
    sys.stdin.read()
    os._exit(STOPPED)
