"""The whole optimiser step (goals, gradient, update) as one compiled function."""

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Goals, ModelWithGoals
from counterpoint.parameters import modes_kept, unwrapped
from counterpoint.recipe import Training
from counterpoint.train._moments import Knobs, Moments, UpdateRule, moments_of, update_rule
from counterpoint.train._optimiser import Optimiser
from counterpoint.train._schedule import Phase
from counterpoint.train._step import autocast, names_of, precision_of

_Weights: TypeAlias = dict[str, Tensor]
_Whole: TypeAlias = Callable[[_Weights, Moments, Batch, Knobs], list[Tensor]]


class CompiledStep:
    """`EagerStep` through `torch.compile`: the same step to rounding, not to the bit.

    On small networks most of a step is the time between kernels; one compiled function for
    forward, backward and update removes it. A batch of another size than `batch_size` (the last
    of an epoch) runs uncompiled through the same function: that costs less than compiling again.
    The moments live where torch's optimiser keeps them, so a checkpoint has the same content.

    Raises:
        InputError: the goals, the model or this machine cannot be compiled (at the first batch).
    """

    def __init__(
        self, model: nn.Module, goals: Goals, optimiser: Optimiser, training: Training
    ) -> None:
        device = optimiser.parameters[0].device
        self.names: tuple[str, ...] = ()
        self._optimiser, self._training = optimiser, training
        self._module = ModelWithGoals(unwrapped(model), goals)
        self._weights = {
            f"{_INSIDE}{name}": value.detach()
            for name, value in zip(optimiser.names, optimiser.parameters, strict=True)
        }
        self._moments: Moments = {}
        # tensors: a number would be a constant of the graph, and every rate compile anew
        self._knobs = (torch.ones((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
        self._phase: Phase | None = None
        kind = precision_of(training.precision, device)
        whole = _whole_step(
            self._module, update_rule(optimiser, training), kind, device, training.clip
        )
        self._plain: _Whole = whole
        # fullgraph: what cannot be traced is refused with a sentence, and not run in pieces
        self._compiled: _Whole = torch.compile(_alone(whole), dynamic=False, fullgraph=True)
        self._tried = False

    def __call__(self, batch: Batch, phase: Phase) -> list[Tensor]:
        """See `FitStep`."""
        if phase != self._phase:
            self._optimiser.advance(phase)
            self._knobs[0].fill_(phase.share)
            self._knobs[1].fill_(phase.momentum)
            self._phase = phase
        if not self._moments:
            self._prepare(batch)
        # another shape would be compiled for itself, for one step an epoch
        if batch.rows != self._training.batch_size:
            return self._plain(self._weights, self._moments, batch, self._knobs)
        if self._tried:
            return self._compiled(self._weights, self._moments, batch, self._knobs)
        return self._first(batch)

    def state(self) -> dict[str, Tensor]:
        """Nothing besides the moments."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Nothing to put back."""

    def _prepare(self, batch: Batch) -> None:
        self._moments = moments_of(self._optimiser, self._weights)
        # in evaluation mode: this extra pass must move no statistics and draw no random numbers
        with torch.no_grad(), modes_kept(self._module):
            names = names_of(self._module.eval()(batch), graph=False)
        self.names = self.names or names

    def _first(self, batch: Batch) -> list[Tensor]:
        try:
            values = self._compiled(self._weights, self._moments, batch, self._knobs)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            raise InputError(
                f"training.compile: this step cannot be compiled here ({reason});"
                " set compile = false"
            ) from error
        self._tried = True
        return values


_INSIDE = "model."


def _whole_step(
    module: nn.Module,
    update: UpdateRule,
    kind: torch.dtype | None,
    device: torch.device,
    clip: float,
) -> FunctionType:
    def score(weights: _Weights, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        with autocast(kind, device):
            losses = list(functional_call(module, weights, (batch,)).values())
        # the plain mean: a balancer would need gradients of each
        return torch.stack(losses).mean(), losses

    def step(weights: _Weights, moments: Moments, batch: Batch, knobs: Knobs) -> list[Tensor]:
        gradients, (_, losses) = grad_and_value(score, has_aux=True)(weights, batch)
        if clip > 0:
            gradients = _clipped(gradients, clip)
        update(weights, gradients, moments, knobs)
        return losses

    return cast("FunctionType", step)


def _alone(function: FunctionType) -> _Whole:
    """The same function with a code object of its own.

    torch.compile keeps what it compiled by code object and gives up after eight different ones,
    so the ninth `fit` of a process would fail.
    """
    code = function.__code__.replace()
    return FunctionType(code, function.__globals__, closure=function.__closure__)


def _clipped(gradients: Mapping[str, Tensor], clip: float) -> dict[str, Tensor]:
    norm = torch.stack([value.square().sum() for value in gradients.values()]).sum().sqrt()
    # as torch.nn.utils.clip_grad_norm_ has it, to its small constant
    share = (clip / (norm + 1e-6)).clamp(max=1.0)
    return {name: value * share for name, value in gradients.items()}
