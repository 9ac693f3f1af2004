"""Long work on a model folder, done once: begun, killed, gone on with, ended, tidied up.

A job makes one model folder ``<out>``. While it runs its checkpoints lie in ``<out>.run``, with the
job's identity: a hash of all that decides the result. The same job given again goes on there;
another one is refused rather than mixed up with it.
"""

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from counterpoint.errors import InputError
from counterpoint.plain import StrPath
from counterpoint.storage import Lock, refuse_existing, refuse_links, write_file, written_files
from counterpoint.table.model._model import TableModel
from counterpoint.train import DamagedRunError

__all__ = ["finished", "identity_of", "refuse_taken", "run_once"]


def identity_of(*parts: str) -> str:
    """The identity of a job: a hash of what decides its result."""
    return sha256("".join(parts).encode()).hexdigest()


def run_once(
    out: StrPath,
    identity: str,
    make: Callable[[Path], TableModel],
    *,
    overwrite: bool = False,
    here: bool = False,
) -> TableModel:
    """Make a model folder; what an earlier process of the same job did is not done again.

    Args:
        out: the folder to write.
        identity: of the job, see `identity_of`.
        make: makes the model; is given the folder for its checkpoints, and goes on from what is
            in it. Where it fails after its first checkpoint, that folder stays.
        overwrite: replace a model that is there, and drop an unfinished job of something else.
        here: replace the model that is there: it is the one that is worked on.

    Raises:
        InputError: something is in the way, or another process is at it.
    """
    out = Path(out)
    refuse_taken(out, overwrite=overwrite or here)
    with _claimed(out, identity, overwrite=overwrite) as run:
        try:
            model = make(run)
        except DamagedRunError:
            if not overwrite:
                raise
            # asked to overwrite: what cannot be gone on with is begun again
            _begin(run, identity)
            model = make(run)
        model.save(out, overwrite=overwrite or here, identity=identity)
    return model


def finished(out: StrPath) -> str | None:
    """The identity of a job that was killed after it had written its folder; tidies up after it.

    Returns:
        None where there is no such job: none was begun, it ended well, or it is yet to end.
    """
    out = Path(out)
    mark = _run(out) / "identity"
    if not mark.is_file():
        return None
    identity = _marked(mark)
    if identity is None or TableModel.identity(out) != identity:
        return None
    with _claimed(out, identity, overwrite=False):
        return identity


def refuse_taken(out: StrPath, *, overwrite: bool) -> None:
    """Refuse to write where something is, or to replace a folder in which somebody keeps things.

    Raises:
        InputError: names what is in the way.
    """
    out = Path(out)
    refuse_existing(out, overwrite=overwrite)
    if not out.is_dir():
        return
    known = written_files(out) | {"manifest.json", "report.html"}
    foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in known)
    if foreign:
        raise InputError(
            f"{out}: holds {foreign[0]!r}, which is not the model's and would be lost; move it, or"
            " choose another --out"
        )


@contextmanager
def _claimed(out: Path, identity: str, *, overwrite: bool) -> Generator[Path]:
    """Hold the run folder; it is removed at the end unless there is something to go on with."""
    run = _run(out)
    mark = run / "identity"
    if run.exists() and not mark.is_file() and {entry.name for entry in run.iterdir()} - {"lock"}:
        raise InputError(f"{run}: is in the way, and not a fit of ours; choose another --out")
    # a folder from somebody else: what is written into it must not land elsewhere
    if run.is_symlink():
        raise InputError(f"{run}: is a link, and links are not followed; remove it")
    refuse_links(run)
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{run}: cannot be made: {error.strerror}") from error
    with Lock(run / "lock"):
        # read under the lock: a moment ago another process may have been at it
        if _marked(mark) != identity:
            if _worth_keeping(run) and not overwrite:
                raise InputError(
                    f"{run}: holds unfinished work on another table or with other settings; finish"
                    " that, choose another --out, or pass --overwrite to drop it"
                )
            _begin(run, identity)
        try:
            yield run
        except BaseException:
            # also where the process is asked to stop: an hour's work is not thrown away
            if not _worth_keeping(run):
                shutil.rmtree(run, ignore_errors=True)
            raise
        shutil.rmtree(run, ignore_errors=True)


def _marked(mark: Path) -> str | None:
    """The identity in a mark; None where there is none to be read."""
    if mark.is_symlink() or not mark.is_file():
        return None
    return mark.read_bytes().decode(errors="replace")


def _begin(run: Path, identity: str) -> None:
    _clear(run)
    write_file(run / "identity", identity.encode())


def _run(out: Path) -> Path:
    return out.with_name(f"{out.name}.run")


def _worth_keeping(run: Path) -> bool:
    """Whether some step was done and saved; the first checkpoint is from before the first step."""
    steps = run.glob("member*/checkpoints/step-*")
    return any(step.name.removeprefix("step-").strip("0") for step in steps)


def _clear(run: Path) -> None:
    for entry in run.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != "lock":  # which is held: another process could lock a new one
            entry.unlink(missing_ok=True)
