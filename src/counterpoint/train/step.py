"""One optimiser step, written out: goals, gradient, update."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.goals import Goals, check_goals
from counterpoint.train.optimiser import Optimiser
from counterpoint.train.schedule import Phase
from counterpoint.train.settings import Training
from counterpoint.train.source import Batch, rows_of

__all__ = ["EagerStep", "Step", "autocast", "names_of", "precision_of"]


@runtime_checkable
class Step(Protocol):
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
    the whole batch for every goal that is a mean over rows.
    """

    def __init__(
        self, model: nn.Module, goals: Goals, optimiser: Optimiser, training: Training
    ) -> None:
        device = optimiser.parameters[0].device
        self.names: tuple[str, ...] = ()
        self._model, self._goals, self._optimiser = model, goals, optimiser
        self._clip, self._parts = training.clip, training.accumulate
        kind = precision_of(training.precision, device)
        self._cast = None if kind is None else autocast(kind, device)
        self._scaler = torch.amp.GradScaler(device.type) if kind == torch.float16 else None

    def __call__(self, batch: Batch, phase: Phase) -> list[Tensor]:
        """See `Step`."""
        optimiser = self._optimiser
        optimiser.advance(phase)
        for parameter in optimiser.parameters:
            parameter.grad = None
        values = self._backward(batch) if self._parts == 1 else self._accumulate(batch)
        if self._scaler is None:
            self._update()
        else:
            self._scaled_update(self._scaler)
        return values

    def state(self) -> dict[str, Tensor]:
        """The loss scale of float16; nothing otherwise."""
        if self._scaler is None:
            return {}
        kept = self._scaler.state_dict()
        return {"scale": torch.tensor([kept["scale"], kept["_growth_tracker"]], dtype=torch.double)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put the loss scale back."""
        if self._scaler is not None and "scale" in state:
            scale, tracker = state["scale"].tolist()
            kept = self._scaler.state_dict() | {"scale": scale, "_growth_tracker": int(tracker)}
            self._scaler.load_state_dict(kept)

    def _losses(self, batch: Batch) -> list[Tensor]:
        if self._cast is None:
            found = self._goals(self._model, batch)
        else:
            with self._cast:
                found = self._goals(self._model, batch)
        if not self.names:
            self.names = names_of(found)
        try:
            losses = [found[name] for name in self.names]
        except KeyError as missing:
            raise InputError(f"goal {missing}: absent from this batch, found before") from None
        if len(found) != len(losses):
            extra = next(name for name in found if name not in self.names)
            raise InputError(f"goal {extra!r}: not among the goals of the first batch")
        return losses

    def _backward(self, batch: Batch, share: float = 1.0) -> list[Tensor]:
        losses = self._losses(batch)
        score = losses[0] if len(losses) == 1 else torch.stack(losses).mean()
        if share != 1.0:
            score = score * share
        if self._scaler is not None:
            score = self._scaler.scale(score)
        score.backward()
        return [loss.detach() for loss in losses]

    def _accumulate(self, batch: Batch) -> list[Tensor]:
        rows = rows_of(batch)
        size = -(-rows // self._parts)
        total: list[Tensor] = []
        for low in range(0, rows, size):
            part = {name: value[low : low + size] for name, value in batch.items()}
            share = rows_of(part) / rows
            values = [value * share for value in self._backward(part, share)]
            total = [a + b for a, b in zip(total, values, strict=True)] if total else values
        return total

    def _update(self) -> None:
        optimiser = self._optimiser
        if self._clip > 0:
            nn.utils.clip_grad_norm_(optimiser.parameters, self._clip)
        optimiser.decay()
        optimiser.torch.step()

    def _scaled_update(self, scaler: torch.amp.GradScaler) -> None:
        optimiser = self._optimiser
        if self._clip > 0:
            scaler.unscale_(optimiser.torch)
            nn.utils.clip_grad_norm_(optimiser.parameters, self._clip)
        optimiser.decay()
        scaler.step(optimiser.torch)
        scaler.update()


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
