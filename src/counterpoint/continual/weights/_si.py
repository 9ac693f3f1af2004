"""Synaptic intelligence: what each weight did for the loss on its way."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.continual._base import LearntTask
from counterpoint.continual._task_summary import rows_in
from counterpoint.continual._trained import held, trained
from counterpoint.continual.weights._quadratic_memory import QuadraticMemory
from counterpoint.errors import InputError
from counterpoint.gaussian import Diagonal, Gaussian


@dataclass
class Path:
    """Where a task began, where the last step ended, and what the steps between have gained."""

    start: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    last: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    gain: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    followed: bool = False  # whether any gradient was seen that was not zero


@dataclass(frozen=True, eq=False, kw_only=True)
class SI(QuadraticMemory):
    r"""Synaptic intelligence: the share of each weight in the fall of the loss, over its way.

    .. math:: \Omega = \frac{\max(0, -\sum_t g_t \, \Delta\theta_t)}{(\theta_k - \theta_{k-1})^2
        + \xi}, \qquad E(\theta) = \sum_k N_k \, \Omega_k^\top (\theta - \theta_K)^2

    (Zenke, Poole and Ganguli 2017, equations 3 to 5), around the weights after the latest task. As
    a Gaussian it is ``N(θ_K, (2 Σ N_k Ω_k)⁻¹)``; with tasks of equal size the strength is the
    paper's c for a loss that is a mean over rows. The gradient is what the step followed, penalty
    and all; a weight whose path has cost more than it gained counts as zero, because a negative
    precision has no minimum.

    Call `begin` where a task begins (`consolidate` does so for the next one), and `observe` after
    each step of the optimiser, while ``.grad`` is still there.

    Attributes:
        damping: ξ, for weights that hardly moved.

    Raises:
        InputError: a damping that is not positive.
    """

    damping: float = 0.1
    _path: Path = field(default_factory=Path, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isfinite(self.damping) and self.damping > 0):
            raise InputError(f"damping: must be positive and finite, found {self.damping}")

    def begin(self, model: nn.Module) -> None:
        """A task starts at these weights."""
        weights = _copies(trained(model, self.parameters))
        self._path.start = weights
        self._path.last = dict(weights)
        self._path.gain = {name: torch.zeros_like(value) for name, value in weights.items()}
        self._path.followed = False

    def observe(self, model: nn.Module) -> None:
        """Add ``-g Δθ`` of the step that the optimiser has just made.

        Args:
            model: after the step, with the gradient that it followed.

        Raises:
            InputError: no task has begun, the weights are others than where it did, or they moved
                and their gradients are gone.
        """
        path = self._path
        self._refuse_unbegun()
        shapes = {name: value.shape for name, value in path.gain.items()}
        weights = held(model, shapes, self.parameters, grown=False)
        with torch.no_grad():
            now = _copies(weights)
            # a path that was loaded is on the CPU
            steps = {name: value - path.last[name].to(value) for name, value in now.items()}
            self._refuse_cleared(weights, steps)
            for name, weight in weights.items():
                gain = path.gain[name].to(now[name])
                # a weight that this task does not reach has no gradient, and has not moved for it
                path.gain[name] = gain if weight.grad is None else gain - weight.grad * steps[name]
            path.last = now

    def _remember(self, task: LearntTask) -> None:
        self._refuse_unbegun()
        rows = rows_in(task)
        path, mean = self._path, _copies(trained(task.model, self.parameters))
        self._refuse_unseen(mean)
        precision = Diagonal({name: 2 * rows * self._share(name, mean) for name in path.gain})
        self._hold(self._before(task.model), Gaussian(mean, precision, rows), latest=True)

    def describe(self) -> dict[str, Any]:
        """The settings that what is held depends on, as plain values."""
        return {"memory": "SI", "damping": self.damping}

    def _share(self, name: str, mean: Mapping[str, Tensor]) -> Tensor:
        if not bool(torch.isfinite(self._path.gain[name]).all()):
            raise InputError(f"task: the path of {name!r} is not finite; lower the learning rate")
        moved = mean[name] - self._path.start[name].to(mean[name])
        # a negative precision has no minimum: what cost more than it gained counts as nothing
        gain = self._path.gain[name].to(moved).clamp_min(0)
        return gain / (moved.square() + self.damping)

    def _refuse_unbegun(self) -> None:
        if not self._path.gain:
            raise InputError(
                "memory: synaptic intelligence follows the weights from where a task begins, found"
                " no begin(model); call it before the first step"
            )

    def _refuse_cleared(self, weights: Mapping[str, Tensor], steps: Mapping[str, Tensor]) -> None:
        """Refuse a step whose gradients were cleared: it would count as one that gained nothing."""
        # no optimiser of torch moves what has no gradient
        gone = [name for name, weight in weights.items() if weight.grad is None]
        moved = _moved(steps, gone)
        if moved is None and not self._path.followed:
            # gradients of zero are no proof later on, when momentum moves what the loss leaves be
            there = [weight.grad for weight in weights.values() if weight.grad is not None]
            self._path.followed = any(bool(one.to_dense().any()) for one in there)
            moved = None if self._path.followed else _moved(steps, weights)
        if moved is not None:
            raise InputError(
                f"memory: {moved!r} has moved and has no gradient: it was cleared before"
                " observe(model), which needs what the step followed; call optimizer.step(), then"
                " observe(model), then optimizer.zero_grad()"
            )

    def _refuse_unseen(self, mean: Mapping[str, Tensor]) -> None:
        for name, last in self._path.last.items():
            if name in mean and not torch.equal(last.to(mean[name]), mean[name]):
                raise InputError(
                    f"memory: {name!r} has moved since the last observe(model); synaptic"
                    " intelligence needs it after every step of the optimiser"
                )

    def _state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        values, tensors = super()._state()
        for part in ("start", "last", "gain"):
            found: dict[str, Tensor] = getattr(self._path, part)
            tensors |= {f"{part}/{name}": value for name, value in found.items()}
        return {**values, "path": list(self._path.gain)}, tensors

    def _restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        super()._restore(values, tensors)
        for part in ("start", "last", "gain"):
            found = {name: tensors[f"{part}/{name}"].clone() for name in values["path"]}
            setattr(self._path, part, found)
        self._path.followed = any(bool(gain.any()) for gain in self._path.gain.values())


def _copies(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}


def _moved(steps: Mapping[str, Tensor], names: Iterable[str]) -> str | None:
    """The first of some weights that has moved."""
    return next((name for name in names if bool(steps[name].any())), None)
