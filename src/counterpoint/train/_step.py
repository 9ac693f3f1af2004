"""One optimiser step, written out: goals, gradient, update."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Goals, call_goals, check_goals
from counterpoint.recipe import Training
from counterpoint.train._balance_log import BalanceRecorder
from counterpoint.train._optimiser import Optimiser
from counterpoint.train._schedule import Phase


@runtime_checkable
class FitStep(Protocol):
    """What `fit` does with a batch.

    Attributes:
        names: the goals' names in order, known after the first batch.
    """

    names: tuple[str, ...]

    def __call__(self, batch: Batch, phase: Phase) -> list[Tensor]:
        """Update the weights; return each goal's detached value (no device sync)."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What must be saved besides weights and moments."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""
        ...


class EagerStep:
    """The step as PyTorch runs it, operation by operation.

    The number that is differentiated is the mean of the goals. With `accumulate` > 1 the batch is
    cut into parts and part m enters with the share B_m / B of its rows, so the gradient is that of
    the whole batch for every goal that is a mean over rows. With `recorder` a balancer weighs the
    goals' gradients, in the first part for all parts of a step. Of several `models` in a pack each
    has the gradient of the mean of its own goals.
    """

    def __init__(
        self,
        model: nn.Module,
        goals: Goals,
        optimiser: Optimiser,
        training: Training,
        recorder: BalanceRecorder | None = None,
        models: int = 1,
    ) -> None:
        device = optimiser.parameters[0].device
        self.names: tuple[str, ...] = ()
        self._model, self._goals, self._optimiser = model, goals, optimiser
        self._recorder, self._models = recorder, models
        self._clip, self._parts = training.clip, training.accumulate
        kind = precision_of(training.precision, device)
        # made once for all steps: a context of autocast may be entered again
        self._cast = None if kind is None else autocast(kind, device)
        # float16 alone needs it: its smallest normal number is 6e-5 (Micikevicius et al. 2018)
        self._scaler = torch.amp.GradScaler(device.type) if kind == torch.float16 else None

    def __call__(self, batch: Batch, phase: Phase) -> list[Tensor]:
        """See `FitStep`."""
        optimiser = self._optimiser
        optimiser.advance(phase)
        for parameter in optimiser.parameters:
            # None and not zero: unused parameters must not decay or move by their moments
            parameter.grad = None
        values = self._gradient(batch)
        if self._scaler is None:
            self._update()
        else:
            self._scaled_update(self._scaler)
        return values

    def state(self) -> dict[str, Tensor]:
        """The loss scale of float16 and what the balancer remembers; nothing otherwise."""
        balance = {} if self._recorder is None else self._recorder.state()
        if self._scaler is None:
            return balance
        kept = self._scaler.state_dict()
        scale = torch.tensor([kept["scale"], kept["_growth_tracker"]], dtype=torch.double)
        return {"scale": scale, **balance}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put the loss scale and the balancer back."""
        if self._recorder is not None:
            self._recorder.restore(state)
        if self._scaler is not None and "scale" in state:
            scale, tracker = state["scale"].tolist()
            kept = self._scaler.state_dict() | {"scale": scale, "_growth_tracker": int(tracker)}
            self._scaler.load_state_dict(kept)

    def _losses(self, model: nn.Module, batch: Batch, *, graph: bool = True) -> list[Tensor]:
        if self._cast is None:
            found = call_goals(self._goals, model, batch)
        else:
            with self._cast:
                found = call_goals(self._goals, model, batch)
        if not self.names:
            self.names = names_of(found, graph=graph)
        try:
            losses = [found[name] for name in self.names]
        except KeyError as missing:
            raise InputError(f"goal {missing}: absent from this batch, found before") from None
        if len(found) != len(losses):
            extra = next(name for name in found if name not in self.names)
            raise InputError(f"goal {extra!r}: not among the goals of the first batch")
        return losses

    def _gradient(self, batch: Batch) -> list[Tensor]:
        if self._recorder is not None:
            return self._shared(self._recorder, batch)
        return self._backward(batch) if self._parts == 1 else self._accumulate(batch)

    def _shared(self, recorder: BalanceRecorder, batch: Batch) -> list[Tensor]:
        """The balanced gradient: the weights of the first part are those of the whole step."""
        rows, held = batch.rows, list[list[Tensor]]()

        def goals(model: nn.Module, part: Batch) -> dict[str, Tensor]:
            # the balancer judges graphs itself, and a sketch evaluates the goals without one
            losses = self._losses(model, part, graph=False)
            held.append([loss.detach() for loss in losses])
            return dict(zip(self.names, losses, strict=True))

        step, total = None, list[Tensor]()
        for part in batch.parts(-(-rows // self._parts)):
            share = part.rows / rows
            found = recorder.backward(
                goals, self._model, part, scaler=self._scaler, first=step is None, share=share
            )
            step = found if step is None else step
            values = [value * share for value in held[-1]]
            total = [a + b for a, b in zip(total, values, strict=True)] if total else values
        if step is not None:
            recorder.add(step, total)
        return total

    def _backward(self, batch: Batch, share: float = 1.0) -> list[Tensor]:
        losses = self._losses(self._model, batch)
        # no stack for one goal: a node less in every graph
        score = losses[0] if len(losses) == 1 else torch.stack(losses).mean()
        # the mean of all goals is that of M means: none of the models is to move M times too little
        share = share * self._models
        if share != 1.0:
            # of the loss and not of the gradient, so that parts add up in .grad by themselves
            score = score * share
        if self._scaler is not None:
            score = self._scaler.scale(score)
        score.backward()
        return [loss.detach() for loss in losses]

    def _accumulate(self, batch: Batch) -> list[Tensor]:
        rows = batch.rows
        total: list[Tensor] = []
        for part in batch.parts(-(-rows // self._parts)):
            share = part.rows / rows
            # sum_m (B_m / B) L_m is L of the whole batch for a mean over rows
            values = [value * share for value in self._backward(part, share)]
            total = [a + b for a, b in zip(total, values, strict=True)] if total else values
        return total

    def _update(self) -> None:
        optimiser = self._optimiser
        self._clipped()
        optimiser.decay()
        optimiser.torch.step()

    def _scaled_update(self, scaler: torch.amp.GradScaler) -> None:
        optimiser = self._optimiser
        if self._clip > 0:
            # the limit is meant for the true gradient
            scaler.unscale_(optimiser.torch)
            self._clipped()
        optimiser.decay()
        # leaves the weights alone where a gradient overflowed
        scaler.step(optimiser.torch)
        scaler.update()

    def _clipped(self) -> None:
        """Shorten the gradient of all weights, or of each model of a pack by itself."""
        if self._clip > 0 and self._models == 1:
            nn.utils.clip_grad_norm_(self._optimiser.parameters, self._clip)
        elif self._clip > 0:
            clip_each_(self._optimiser.parameters, self._clip)


def clip_each_(parameters: Sequence[nn.Parameter], limit: float) -> None:
    """Shorten the gradient of each model of a pack to a norm, each slice by its own; in place."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    squares = [grad.flatten(1).square().sum(1) for grad in gradients]
    # as torch.nn.utils.clip_grad_norm_ has it, to its small constant
    share = (limit / (torch.stack(squares).sum(0).sqrt() + 1e-6)).clamp(max=1.0)
    for grad in gradients:
        grad.mul_(share.view(-1, *(1 for _ in grad.shape[1:])))


def names_of(losses: object, *, graph: bool = True) -> tuple[str, ...]:
    """The names of goals that are what they must be; see `check_goals`.

    Raises:
        InputError: they are not, or one is called "score".
    """
    names = tuple(check_goals(losses, graph=graph))
    if "score" in names:
        raise InputError("goal 'score': this name is the mean of the goals; choose another")
    return names


def precision_of(name: str, device: torch.device) -> torch.dtype | None:
    """The type that autocast computes in; None: float32 throughout.

    Raises:
        InputError: float16 is asked for where there is no CUDA device.
    """
    if name == "auto":
        has = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if has else None
    if name == "float16" and device.type != "cuda":
        raise InputError(
            f"training.precision: float16 needs a CUDA device, found {device.type!r};"
            " use bfloat16 or float32"
        )
    return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def autocast(kind: torch.dtype | None, device: torch.device) -> AbstractContextManager[object]:
    """The context in which goals are computed."""
    return nullcontext() if kind is None else torch.autocast(device.type, dtype=kind)
