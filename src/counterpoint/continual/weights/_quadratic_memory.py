"""Memories of weights: a quadratic around what earlier tasks found."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.continual._base import MemoryBase, checked_rows
from counterpoint.continual._trained import corners, held, trained
from counterpoint.errors import InputError
from counterpoint.gaussian import ExampleEvidence, Gaussian, Quadratic
from counterpoint.parameters import Pattern


@dataclass
class Anchor:
    """What changes: the quadratic held, and whose evidence is in it."""

    quadratic: Quadratic | None = None
    evidence: ExampleEvidence = field(default_factory=ExampleEvidence)


@dataclass(frozen=True, eq=False, kw_only=True)
class QuadraticMemory(MemoryBase):
    """A memory that is one quadratic, whatever the number of tasks.

    Attributes:
        parameters: which weights are remembered; none means all that are trained.
        grown: allow new weights and longer ones, which are free; the old part keeps its Gaussian.
            Without it they are refused, like weights that are gone.
    """

    parameters: Pattern | None = None
    grown: bool = False
    _anchor: Anchor = field(default_factory=Anchor, init=False, repr=False)

    def penalty(self, model: nn.Module, batch: Any = None, *, rows: float) -> Float[Tensor, ""]:
        """``strength E(θ) / rows``, with a graph.

        Args:
            model: as it is now.
            batch: not needed.
            rows: of the current task.

        Raises:
            InputError: before the first `consolidate`, or the model's weights are other ones.
        """
        del batch
        quadratic, weights = self._held(model)
        scale = self.strength / checked_rows(rows)
        return quadratic.energy(corners(weights, quadratic.shapes)) * scale

    def value(self, model: nn.Module, *, rows: float) -> Float[Tensor, ""]:
        """The penalty without a graph: for the log, where `add_gradients` does the work.

        Args:
            model: as it is now.
            rows: of the current task.

        Raises:
            InputError: as `penalty`.
        """
        with torch.no_grad():
            return self.penalty(model, rows=rows)

    def add_gradients(self, model: nn.Module, *, rows: float) -> None:
        """Add the penalty's gradient to ``.grad``, between ``backward()`` and the optimiser's step.

        The same step as with the penalty in the loss, without a graph: for a diagonal one pass over
        the weights. With a gradient scaler, unscale first; with gradients accumulated over several
        backward passes, call it once.

        Args:
            model: after ``backward()``.
            rows: of the current task.

        Raises:
            InputError: as `penalty`.
        """
        quadratic, weights = self._held(model)
        scale = self.strength / checked_rows(rows)
        into = dict[str, Tensor]()
        for name, weight in weights.items():
            # a weight that the loss does not reach is still held
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            into[name] = weight.grad
        now, gradients = corners(weights, quadratic.shapes), corners(into, quadratic.shapes)
        quadratic.add_gradient(list(now.values()), list(gradients.values()), scale)

    @property
    def gaussian(self) -> Gaussian:
        """What is remembered as one Gaussian over the weights, strength left out.

        Raises:
            InputError: before the first `consolidate`, or several tasks' means differ and the
                precision is not positive definite.
        """
        quadratic, anchor = self._quadratic, self._anchor
        mean = quadratic.minimum()
        evidence = anchor.evidence
        return Gaussian(mean, quadratic.precision, evidence.counts, evidence.tempering)

    @property
    def _quadratic(self) -> Quadratic:
        self._refuse_empty()
        if self._anchor.quadratic is None:
            raise InputError("memory: nothing is held: everything was forgotten")
        return self._anchor.quadratic

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The settings that what is held depends on, as plain values."""

    def _held(self, model: nn.Module) -> tuple[Quadratic, dict[str, nn.Parameter]]:
        quadratic = self._quadratic
        weights = held(model, quadratic.shapes, self.parameters, grown=self.grown)
        device = next(iter(weights.values())).device
        if quadratic.device != device:
            # loaded on the CPU, or the model has moved
            quadratic = self._anchor.quadratic = quadratic.to(device)
        return quadratic, weights

    def _before(self, model: nn.Module) -> Quadratic | None:
        """What is held of earlier tasks, the model's weights seen to be the same ones."""
        if self._anchor.quadratic is None:
            return None
        quadratic = self._held(model)[0]
        for name in quadratic.shapes:
            if name not in trained(model, self.parameters):
                raise InputError(
                    f"memory: {name!r} is remembered, but was not trained in this task; choose"
                    " parameters= that are trained in all tasks"
                )
        return quadratic

    def _hold(
        self,
        old: Quadratic | None,
        task: Gaussian,
        *,
        keep: float = 1.0,
        latest: bool = False,
        pooled: bool = False,
    ) -> None:
        """Hold a task beside what was held: the sum, or around the task's weights alone.

        Args:
            old: what was held; none: nothing.
            task: of all weights there are now.
            keep: the power to which the old Gaussian is raised first.
            latest: write the sum of precisions around the task's mean, as Laplace's method does
                where that is the optimum with the penalty; else the sum of both functions.
            pooled: add Kronecker factors instead of products.
        """
        new, anchor = task.quadratic, self._anchor
        if old is None or keep == 0:
            anchor.quadratic, anchor.evidence = new, task.evidence
            return
        if keep != 1:
            # factors that are added to must weigh what their rows still count
            old = old.fewer(keep) if pooled else old.scaled(keep)
        both = old.widened(new.shapes).around(new.centre).joined(new, pooled=pooled)
        if latest:
            anchor.quadratic = Quadratic(new.centre, both.precision)
        else:
            anchor.quadratic = both.settled()
        anchor.evidence = anchor.evidence.power(keep).plus(task.evidence)

    def _state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        quadratic = self._anchor.quadratic
        if quadratic is None:
            return {"quadratic": None}, {}
        evidence = asdict(self._anchor.evidence)
        return {"quadratic": {**quadratic.spec(), **evidence}}, quadratic.tensors()

    def _restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        spec, anchor = values["quadratic"], self._anchor
        anchor.quadratic = None if spec is None else Quadratic.read(spec, tensors)
        if spec is not None:
            anchor.evidence = ExampleEvidence(spec["counts"], spec["tempering"])
