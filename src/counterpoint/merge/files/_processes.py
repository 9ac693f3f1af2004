"""Share a merge among processes of this machine, each of which writes a range of the output."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from counterpoint.errors import InputError
from counterpoint.merge.files._member import REFUSED, STOPPED

_PAUSE = 0.05
_START = "from counterpoint.merge.files._member import main; main()"


def in_processes(jobs: Sequence[dict[str, Any]], gather: Callable[[], object]) -> None:
    """Do jobs, each in a process of its own, and wait for all of them.

    Args:
        jobs: of `_member.job_of`.
        gather: called now and then, to take in what they have recorded.

    Raises:
        InputError: one of them was refused.
        ChildProcessError: one of them failed, or was killed; what is written is kept.
    """
    running = list[subprocess.Popen[str]]()
    try:
        for job in jobs:
            running.append(_started(job))
        while _going(running):
            gather()
            time.sleep(_PAUSE)
    finally:
        ended = [_ended(process) for process in running]
    for wanted in (True, False):
        for code, said in ended:
            if code == REFUSED and wanted:
                raise InputError(said)
            if code not in (0, STOPPED) and not wanted:
                raise ChildProcessError(
                    f"merge: a process ended with {code} ({said:.300}); what is written is kept,"
                    " and the same call goes on"
                )


def _going(running: Sequence[subprocess.Popen[str]]) -> bool:
    """Whether some are at work and none has failed, with which all would have to end."""
    codes = [process.poll() for process in running]
    return None in codes and not any(codes)


def _started(job: dict[str, Any]) -> subprocess.Popen[str]:
    # found where this one was found, whatever put it there
    home = str(Path(__file__).parents[3])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    if process.stdin is not None:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
    return process


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a process ended, and the last line that it said."""
    # it ends when this does: nobody writes on into a file that another merge has begun
    said = process.communicate()[1]
    return process.returncode, said.strip().rpartition("\n")[2]
