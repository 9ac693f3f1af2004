"""The folder beside an output in which a fit runs: whose it is, and whether to go on with it."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from counterpoint.errors import InputError

__all__ = ["claimed", "refuse_foreign"]


@contextmanager
def claimed(out: Path, identity: str, *, overwrite: bool) -> Generator[Path, None, None]:
    """Hold the run folder ``<out>.run`` for the length of a fit.

    A run of the same identity is gone on with. The folder is removed when nothing in it is worth
    going on with: the block ended well, or failed before the first step.

    Args:
        out: the model folder to write.
        identity: what the fit is made from.
        overwrite: drop an unfinished run of something else.

    Raises:
        InputError: another process is at it, or it holds an unfinished run of something else.
    """
    from counterpoint.storage import Lock, write_file

    run = out.with_name(f"{out.name}.run")
    mark = run / "identity"
    if run.exists() and not mark.is_file() and {entry.name for entry in run.iterdir()} - {"lock"}:
        raise InputError(f"{run}: is in the way, and not a fit of ours; choose another --out")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{run}: cannot be made: {error.strerror}") from error
    with Lock(run / "lock"):
        if not mark.is_file() or mark.read_text("utf-8") != identity:
            if _worth_keeping(run) and not overwrite:
                raise InputError(
                    f"{run}: holds unfinished work on another table or with other settings; finish"
                    " that, choose another --out, or pass --overwrite to drop it"
                )
            _clear(run)
            write_file(mark, identity.encode())
        try:
            yield run
        except BaseException:
            if not _worth_keeping(run):
                shutil.rmtree(run, ignore_errors=True)
            raise
        shutil.rmtree(run, ignore_errors=True)


def refuse_foreign(out: Path) -> None:
    """Refuse to replace a model folder in which somebody keeps other things.

    Raises:
        InputError: names the first.
    """
    from counterpoint.storage import written_files

    known = written_files(out) | {"manifest.json", "report.html"}
    foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in known)
    if foreign:
        raise InputError(
            f"{out}: holds {foreign[0]!r}, which is not the model's and would be lost; move it, or"
            " choose another --out"
        )


def _worth_keeping(run: Path) -> bool:
    """Whether some step was done and saved; the first checkpoint is from before the first step."""
    steps = run.glob("member-*/checkpoints/step-*")
    return any(step.name.removeprefix("step-").strip("0") for step in steps)


def _clear(run: Path) -> None:
    for entry in run.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != "lock":
            entry.unlink(missing_ok=True)
