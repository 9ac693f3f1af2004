"""The loop itself: steps, epochs, checkpoints, and where it all stands."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from counterpoint.data import Loader
from counterpoint.errors import InputError
from counterpoint.goals import Goals
from counterpoint.parameters import named
from counterpoint.recipe import Training
from counterpoint.seeding import derive
from counterpoint.storage import Folder, JSONValue
from counterpoint.train._balance_log import BalanceRecorder
from counterpoint.train._callbacks import Callback, Moment
from counterpoint.train._evaluate import evaluate
from counterpoint.train._folder import LogMark, RunFolder
from counterpoint.train._meter import Meter
from counterpoint.train._optimiser import Optimiser
from counterpoint.train._outcome import FitEnding, NonFiniteError, Row
from counterpoint.train._progress import Reporter
from counterpoint.train._schedule import schedule
from counterpoint.train._signals import Interruption
from counterpoint.train._step import FitStep
from counterpoint.train._weights import Best, contents, first_bad, put

_ORDER = 1  # the stream of seeds that shuffles epochs


@dataclass(frozen=True)
class Parts:
    """What a run works with; none of it changes while it goes on."""

    model: nn.Module
    goals: Goals
    loader: Loader
    validation: Loader | None
    training: Training
    optimiser: Optimiser
    step: FitStep
    report: Reporter
    asked: Interruption
    place: RunFolder | None = None
    recorder: BalanceRecorder | None = None
    callbacks: Sequence[Callback] = ()
    models: int = 1


@dataclass
class Position:
    """How far a run is: whole epochs done, batches of the next one, optimiser steps, seconds."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list[Row])
    status: FitEnding | None = None


class TrainingRun:
    """One training run between its checkpoints.

    Everything that the next step depends on is in the model, the optimiser, torch's generators,
    and the three objects here that have `state` and `restore`.
    """

    def __init__(self, parts: Parts) -> None:
        training = parts.training
        self.parts = parts
        self.at = Position()
        self.best = Best(training.patience or 0, parts.models)
        self._meter = Meter(training.log_every)
        self._device = parts.optimiser.parameters[0].device
        # whole steps of an epoch, the last one of fewer rows included
        self._steps = parts.loader.steps(training.batch_size)
        self._phase = schedule(training, self._steps * training.epochs)
        self._began = self._saved = time.monotonic()

    def go(self) -> FitEnding:
        """Run to the end, or until something asks to stop."""
        status = self.at.status
        while status is None:
            status = self._batches() or self._end_of_epoch()
        return status

    @property
    def seconds(self) -> float:
        """Time of training so far, over all restarts."""
        return self.at.seconds + time.monotonic() - self._began

    def _batches(self) -> FitEnding | None:
        parts, at, meter = self.parts, self.at, self._meter
        step, phase, device, report = parts.step, self._phase, self._device, parts.report
        # a function of the epoch alone: a resumed run needs no position of the shuffle
        seed = derive(parts.training.seed, _ORDER, at.epoch)
        parts.model.train()
        for batch in parts.loader.batches(parts.training.batch_size, seed=seed, start=at.batch):
            batch = batch.to(device)
            # by the steps done so far, so a resumed run meets the same rate
            values = step(batch, phase(at.step))
            at.step += 1
            at.batch += 1
            meter.add(batch.rows, values)
            if meter.due(at.batch):
                self._fold()
            report.step(at.step)
            if parts.callbacks and self._tell_step(values):
                return self._stop(FitEnding.STOPPED)
            # between steps only: weights and moments belong together
            if parts.asked.signal:
                self.save()
                return FitEnding.INTERRUPTED
            if self._due():
                self.save()
        return None

    def _fold(self) -> None:
        parts, at = self.parts, self.at
        self._meter.fold(parts.step.names, at.epoch + 1, at.step)
        if self._meter.line_due(at.batch):
            self._log({"event": "steps", **self._where(), "train": self._meter.line()})
            self._log_balance()

    def _end_of_epoch(self) -> FitEnding | None:
        parts, at = self.parts, self.at
        self._meter.fold(parts.step.names, at.epoch + 1, at.step)
        where = self._where()
        row = Row(
            epoch=at.epoch + 1,
            step=at.step,
            rate=parts.optimiser.rate,
            seconds=where["seconds"],
            train=self._meter.epoch(),
            validation=self._validate(),
        )
        at.history.append(row)
        at.epoch, at.batch = at.epoch + 1, 0
        self._log({"event": "epoch", **row})
        self._log_balance()
        parts.report.row(row, self.best.epoch)
        asked = [callback.epoch_end(self._moment({}, row)) for callback in parts.callbacks]
        return self._ended(any(asked))

    def _ended(self, asked: bool) -> FitEnding | None:
        if self.at.epoch == self.parts.training.epochs:
            return self._stop(FitEnding.FINISHED)
        if asked:
            return self._stop(FitEnding.STOPPED)
        if self.best.exhausted(self.at.epoch):
            return self._stop(FitEnding.EARLY)
        if self.parts.asked.signal:
            self.save()
            return FitEnding.INTERRUPTED
        # short epochs would otherwise spend their time writing
        if self.parts.place is not None and time.monotonic() - self._saved > 1.0:
            self.save()
        return None

    def _validate(self) -> dict[str, float] | None:
        parts = self.parts
        if parts.validation is None:
            return None
        # without gradients more rows fit; the result does not depend on it
        size = max(parts.training.batch_size, 4096)
        found = evaluate(
            parts.model, parts.goals, parts.validation, size, precision=parts.training.precision
        )
        goals = {name: value for name, value in found.items() if name != "score"}
        for name, value in goals.items():
            # x - x is 0 for finite x alone; the score would hide which goal it was
            if not value - value == 0.0:
                raise NonFiniteError(
                    f"goal {name!r}: not finite ({value}) on the validation rows after epoch"
                    f" {self.at.epoch + 1}; lower the rate or clip the gradient"
                )
        self.best.see(self.at.epoch + 1, list(goals.values()), parts.model)
        return found

    def _stop(self, status: FitEnding) -> FitEnding:
        self.at.status = status
        self.save()
        return status

    def _due(self) -> bool:
        training = self.parts.training
        if self.parts.place is None:
            return False
        if training.checkpoint_steps and self.at.step % training.checkpoint_steps == 0:
            return True
        every = training.checkpoint_every
        return every > 0 and time.monotonic() - self._saved >= every

    def _tell_step(self, values: Sequence[Tensor]) -> bool:
        losses = dict(zip(self.parts.step.names, values, strict=True))
        moment = self._moment(losses, None)
        return any(callback.step_end(moment) for callback in self.parts.callbacks)

    def _moment(self, losses: dict[str, Tensor], row: Row | None) -> Moment:
        epoch = self.at.epoch + (row is None)
        return Moment(self.parts.model, epoch, self.at.step, losses, row)

    def _where(self) -> dict[str, JSONValue]:
        seconds = round(self.seconds, 3)
        rate = self.parts.optimiser.rate
        return {"epoch": self.at.epoch + 1, "step": self.at.step, "rate": rate, "seconds": seconds}

    def _log_balance(self) -> None:
        recorder, place = self.parts.recorder, self.parts.place
        if recorder is not None and place is not None:
            self._log({"event": "balance", "step": self.at.step, **recorder.line()})

    def _log(self, line: dict[str, JSONValue]) -> None:
        if self.parts.place is not None:
            self.parts.place.log.append(line)

    def save(self) -> None:
        """Write a checkpoint, if there is a folder; never over a good one with bad weights.

        Raises:
            NonFiniteError: a goal since the last fold, or a weight, is not finite.
            InputError: the disk refused; the checkpoints before are intact.
        """
        parts, at = self.parts, self.at
        if parts.place is None:
            return
        self._meter.check(parts.step.names, at.epoch + 1, at.step)
        bad = first_bad(named(parts.model))  # buffers may be infinite: masks are
        if bad is not None:
            raise NonFiniteError(
                f"weight {bad!r}: not finite after step {at.step} (epoch {at.epoch + 1});"
                " lower the rate or clip the gradient"
            )
        mark = parts.place.log.settle()
        state: dict[str, JSONValue] = {
            "epoch": at.epoch,
            "batch": at.batch,
            "step": at.step,
            "seconds": self.seconds,
            "status": None if at.status is None else at.status.word,
            "history": at.history,
            "best": self.best.state(),
            "goals": list(parts.step.names),
            "log": mark.size,
            "log_digest": mark.digest,
            "threads": torch.get_num_threads(),
            "device": self._device.type,
        }
        # everything in one folder that is renamed when whole, so no parts of two steps can meet
        parts.place.save(at.step, self._tensors(), state)
        self._saved = time.monotonic()

    def restore(self, found: Folder) -> LogMark:
        """Go back to a checkpoint: afterwards the next step is the one it was about to take.

        Returns:
            Where the log was.

        Raises:
            InputError: the checkpoint was made by hand, and lacks something.
        """
        try:
            return self._restore(found)
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(f"{found.path}: not a checkpoint of this run: {error!r}") from error

    def _restore(self, found: Folder) -> LogMark:
        parts, at, data = self.parts, self.at, found.document("state")
        tensors: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in found.tensors("run").items():
            group, _, name = key.partition("/")
            tensors[group][name] = value
        put(parts.model, tensors["model"])
        parts.optimiser.restore(tensors["optimiser"])
        parts.step.names = tuple(data["goals"])
        self._meter.names = parts.step.names
        self._meter.restore(tensors["meter"])
        parts.step.restore(tensors["step"])
        kept = {name: value.to(self._device) for name, value in tensors["best"].items()}
        self.best.restore(data["best"], kept)
        at.epoch, at.batch, at.step = data["epoch"], data["batch"], data["step"]
        at.seconds, at.history = data["seconds"], data["history"]
        # the word, which stays when a sentence is put better
        at.status = None if data["status"] is None else FitEnding.of(data["status"])
        # bits of a sum depend on how many threads share it
        torch.set_num_threads(data["threads"])
        # last: nothing after it may draw
        self._restore_generators(tensors["generators"])
        return LogMark(data["log"], data.get("log_digest"))

    def _tensors(self) -> dict[str, Tensor]:
        parts = self.parts
        generators = {"cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state(self._device)
        groups = {
            "model": contents(parts.model),
            "optimiser": parts.optimiser.state(),
            "best": self.best.weights,
            "meter": self._meter.state(),
            "step": parts.step.state(),
            "generators": generators,
        }
        return {
            f"{group}/{name}": value
            for group, tensors in groups.items()
            for name, value in tensors.items()
        }

    def _restore_generators(self, states: dict[str, Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if self._device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self._device)
