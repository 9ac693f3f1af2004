"""Train a model: put the parts together, run, and clean up."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from counterpoint.balance import Balancer
from counterpoint.data import (
    DataLike,
    Loader,
    Unpack,
    as_loader,
    count_rows,
    known_rows,
)
from counterpoint.errors import InputError
from counterpoint.goals import Goals
from counterpoint.parameters import modes_kept
from counterpoint.plain import StrPath
from counterpoint.recipe import PLAIN, Training
from counterpoint.seeding import seeded, threads
from counterpoint.storage import DISK, FileSystem, JSONValue
from counterpoint.train._balance_log import choose_recorder
from counterpoint.train._callbacks import Callback
from counterpoint.train._compiled import CompiledStep
from counterpoint.train._folder import LogMark, RunFolder
from counterpoint.train._groups import Groups
from counterpoint.train._groups import groups as make_groups
from counterpoint.train._optimiser import Optimiser
from counterpoint.train._outcome import Fit, FitEnding
from counterpoint.train._progress import Reporter, reporter
from counterpoint.train._run import Parts, TrainingRun
from counterpoint.train._signals import Interruption
from counterpoint.train._step import EagerStep
from counterpoint.train._weights import contents, frozen, put

# when checkpoints are written does not change the result, and they hold the number of threads
_FREE = ("checkpoint_every", "checkpoint_steps", "checkpoints_kept", "threads")
_HEARD = "stopping after this step; once more to stop at once"


def fit(
    model: nn.Module,
    goals: Goals,
    data: DataLike,
    training: Training,
    *,
    validation: DataLike | None = None,
    groups: Groups | None = None,
    balancer: Balancer | None = None,
    callbacks: Sequence[Callback] = (),
    folder: StrPath | None = None,
    recipe: JSONValue = None,
    command: str | None = None,
    progress: bool | str = True,
    disk: FileSystem = DISK,
    unpack: Unpack | None = None,
    models: int = 1,
    after: Fit | None = None,
) -> Fit:
    """Train a model in place toward its goals: their mean, or what a balancer makes of them.

    With a `folder` the run survives anything: killed at any moment and started again with the
    same call it ends with the same bits (same machine, same build of torch; on a GPU as far as its
    kernels are deterministic). Ctrl-C or SIGTERM then stops it at the next step with a checkpoint.
    A finished run in the folder is not run again: its weights are put into the model.

    Args:
        model: trained where it is; its submodules' modes, `requires_grad` and torch's global
            random state are as before afterwards.
        goals: ``goals(model, batch) -> {name: scalar}``, the same names for every batch.
        data: the training rows: whatever `counterpoint.data.as_loader` takes. Those that are in
            memory are drawn in an order that the seed decides; a `DataLoader` or other batches come
            in their own order and size, and `counterpoint.data.Batched` says what a restart can
            promise of them.
        training: how to train.
        validation: rows to evaluate after each epoch; the weights of the epoch with the lowest
            score are the ones the model ends with.
        groups: rates and freezing; None: every parameter that asks for a gradient, at one rate.
        balancer: lets the goals share each step, in place of `training.balance`; its state is in
            the checkpoints, and without a folder it goes on from where it is. Losses that it sees
            of an accumulated step are those of the first part, by its share of the rows.
        callbacks: told of every step and epoch.
        folder: where checkpoints and the log go; None: nothing is written.
        recipe: what else decides the result (such as a hash of the data), stored in the folder and
            compared at a restart; any JSON value.
        command: what to type to go on, shown when the run is interrupted.
        progress: a bar on a terminal, plain lines elsewhere, both on standard error; a text says
            what is being trained.
        disk: the file system; tests pass one that fails.
        unpack: reads a batch, of both; none means `counterpoint.data.as_batch`.
        models: how many are side by side in the model, as `counterpoint.nn.pack` makes it. Goals
            come model by model, as many of each; each model moves by the mean of its own, and ends
            with the weights of its own best epoch.
        after: an earlier fit of the model whose optimiser's moments are gone on with, weight by
            weight: weights that were frozen begin without, and none is thrown back by unfreezing
            the others.

    Raises:
        InputError: bad settings, a folder with another recipe, a disk that is full.
        NonFiniteError: a goal or a weight is no longer finite; the last checkpoint is from before.
    """
    if models > 1:
        _refuse_shared(training, balancer)
    split = make_groups(model) if groups is None else groups
    loader = as_loader(data, unpack)
    held_out = None if validation is None else as_loader(validation, unpack)
    training = resolved(training, loader)
    folder = None if folder is None else Path(folder)
    with ExitStack() as stack:
        place = None
        if folder is not None:
            whole = _describe(model, loader, training, held_out, split, recipe)
            if after is not None:
                # with other moments it is another run
                whole["after"] = {k: float(v.double().sum()) for k, v in after.moments.items()}
            if balancer is not None:
                whole["balancer"] = balancer.describe()
            place = stack.enter_context(RunFolder(folder, whole, disk, training.checkpoints_kept))
        steps = loader.steps(training.batch_size) * training.epochs
        report = stack.enter_context(closing(_Notes(reporter(progress, training.epochs, steps))))
        stack.enter_context(modes_kept(model))
        stack.enter_context(frozen(model, split.frozen))
        stack.enter_context(seeded(training.seed))
        stack.enter_context(threads(training.threads or torch.get_num_threads()))
        asked = stack.enter_context(
            Interruption(wanted=place is not None, heard=lambda: report.note(_HEARD))
        )
        optimiser = Optimiser(model, split, training)
        if after is not None:
            optimiser.take_over(after.moments)
        recorder = choose_recorder(training, balancer, steps, report.note)
        if training.compile:
            step = CompiledStep(model, goals, optimiser, training)
        else:
            step = EagerStep(model, goals, optimiser, training, recorder, models)
        parts = Parts(
            model=model,
            goals=goals,
            loader=loader,
            validation=held_out,
            training=training,
            optimiser=optimiser,
            step=step,
            report=report,
            asked=asked,
            place=place,
            recorder=recorder,
            callbacks=callbacks,
            models=models,
        )
        run = TrainingRun(parts)
        _begin(run, place, report)
        status = run.go()
        if status is FitEnding.INTERRUPTED:
            report.note(_farewell(run, command))
        elif run.best.epoch is not None:
            put(model, run.best.weights)
    return Fit(
        history=tuple(run.at.history),
        status=status,
        best_epoch=run.best.epoch,
        best_epochs=tuple(run.best.epochs),
        step=run.at.step,
        seconds=run.seconds,
        notes=tuple(report.notes),
        signal=asked.signal,
        folder=folder,
        balance=None if recorder is None else recorder.record(),
        moments=optimiser.state(),
    )


def _refuse_shared(training: Training, balancer: Balancer | None) -> None:
    """Refuse what would let the models of a pack see one another."""
    shared = {
        "balance": balancer is not None or training.balance != PLAIN,
        "compile": training.compile,
    }
    for name, told in shared.items():
        if told:
            raise InputError(f"training.{name}: works for one model at a time, found several")


class _Notes:
    """A reporter that remembers the remarks."""

    def __init__(self, inner: Reporter) -> None:
        self.notes: list[str] = []
        self._inner = inner
        self.step, self.row, self.close = inner.step, inner.row, inner.close

    def note(self, text: str) -> None:
        """Remember and pass on."""
        self.notes.append(text)
        self._inner.note(text)


def _begin(run: TrainingRun, place: RunFolder | None, report: Reporter) -> None:
    if place is None:
        return
    found, notes = place.latest()
    for note in notes:
        report.note(note)
    if found is None:
        place.log.cut(LogMark(), ())
        run.save()  # also finds out at once whether the folder can be written
        return
    mark = run.restore(found)
    lines = [{"event": "epoch", **row} for row in run.at.history]
    if not place.log.cut(mark, lines):
        changed = "the log was not as it was left; the lines of its epochs are written anew"
        report.note(f"{place.path}: {changed}")
    if run.at.status is None:
        report.note(f"going on at epoch {run.at.epoch + 1}, step {run.at.step}")
    else:
        report.note(f"{place.path}: this run has ended already: {run.at.status.sentence}")


def _farewell(run: TrainingRun, command: str | None) -> str:
    how = "start it again with the same call" if command is None else f"go on with: {command}"
    return f"stopped at epoch {run.at.epoch + 1}, step {run.at.step}, and saved; {how}"


def _describe(
    model: nn.Module,
    loader: Loader,
    training: Training,
    validation: Loader | None,
    split: Groups,
    recipe: JSONValue,
) -> dict[str, JSONValue]:
    settings = {key: value for key, value in asdict(training).items() if key not in _FREE}
    return {
        "training": settings,
        "rows": _size(loader, training),
        "validation_rows": None if validation is None else _size(validation, training),
        "data": _fingerprint(loader),
        "groups": asdict(split),
        "model": {
            name: f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
            for name, value in contents(model).items()
        },
        "recipe": recipe,
    }


def _fingerprint(loader: Loader) -> JSONValue:
    mark = getattr(loader, "fingerprint", None)
    return None if mark is None else mark()


def resolved(training: Training, loader: Loader) -> Training:
    """The settings with every 0 replaced that means "by the number of rows"."""
    # rows that somebody else batches are counted in a pass, which none pays for who names both
    if training.batch_size and training.epochs:
        return training
    return training.resolved(count_rows(loader))


def _size(loader: Loader, training: Training) -> JSONValue:
    rows = known_rows(loader)
    if rows is not None:
        return rows
    # to count the rows of somebody else's batches would cost a pass over them
    return f"{loader.steps(training.batch_size)} batches"
