"""Learning without forgetting: the new rows, as the old model would have answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.func import functional_call

from counterpoint.continual._base import (
    LearntTask,
    MemoryBase,
    attached,
    checked_rows,
    refuse_unattached,
)
from counterpoint.continual._task_summary import rows_in
from counterpoint.data import Batch, as_batch
from counterpoint.errors import InputError
from counterpoint.goals import Heads, Likelihood
from counterpoint.parameters import device_of, evaluating, unwrapped


@dataclass
class Teacher:
    """The model as it was, and the tasks that it knew: their rows and likelihoods."""

    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    rows: list[float] = field(default_factory=list[float])
    heads: list[Heads] = field(default_factory=list[Heads])


@dataclass(frozen=True, eq=False, kw_only=True)
class LwF(MemoryBase):
    r"""Learning without forgetting (Li and Hoiem 2016): distillation from the model before.

    .. math:: \sum_k \frac{N_k}{N} \cdot T^2 \, \frac{1}{|B|} \sum_{i \in B}
        \operatorname{KL}\left( p_k(\cdot \mid f_\text{old}(x_i) / T) \,\|\, p_k(\cdot \mid f(x_i) /
        T) \right)

    on the rows of the CURRENT task, which stand for the :math:`N_k` rows of each earlier one under
    that task's likelihood (its outputs, where these differ). For tasks of equal size these are the
    usual weights 1/k and 1 - 1/k. It holds the weights of one earlier model, no rows, and costs a
    forward pass of the old model and one of the new a step.

    Attributes:
        temperature: T, of logits; likelihoods without logits are compared as they are.

    Raises:
        InputError: a temperature that is not positive.
    """

    temperature: float = 2.0
    _teacher: Teacher = field(default_factory=Teacher, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"temperature: must be positive and finite, found {self.temperature}")

    def penalty(self, model: nn.Module, batch: Any = None, *, rows: float) -> Float[Tensor, ""]:
        """How far the model's answers have moved from the old model's, on the batch.

        Args:
            model: as it is now; the old one is called in evaluation mode.
            batch: the step's, whose targets are not looked at: a `Batch`, or spelt as
                `counterpoint.data.as_batch` reads it without a function.
            rows: of the current task.

        Raises:
            InputError: before the first `consolidate`, no batch, or the memory was loaded and does
                not know the likelihoods yet.
        """
        self._refuse_empty()
        checked_rows(rows)
        teacher = self._teacher
        if batch is None:
            raise InputError("memory: distillation compares outputs; pass penalty(model, batch)")
        refuse_unattached(teacher.heads, self.tasks)
        device = device_of(model)
        inputs = teacher.heads[0].read(as_batch(batch)).to(device)
        before = self.answers(model, inputs)
        now = teacher.heads[0].outputs(inputs.call(model))
        parts = [
            count / rows * self._apart(likelihood, before[name], now[name])
            for heads, count in zip(teacher.heads, teacher.rows, strict=True)
            for name, likelihood in heads.likelihoods.items()
        ]
        return self.strength * torch.stack(parts).sum()

    def answers(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The old model's outputs, by head, without a graph.

        Args:
            model: as it is now, whose form the old one had.
            batch: on the model's device.
        """
        bare, teacher = unwrapped(model), self._teacher
        device = device_of(bare)
        tensors = {name: value.to(device) for name, value in teacher.tensors.items()}
        with torch.no_grad(), evaluating(bare):
            # the old weights are kept under every name of theirs, tied ones too
            found = functional_call(
                bare, tensors, batch.inputs, dict(batch.named), tie_weights=False
            )
        return teacher.heads[0].outputs(found)

    def _remember(self, task: LearntTask) -> None:
        teacher = self._teacher
        teacher.rows.append(rows_in(task))
        teacher.heads.append(task.heads)
        state: dict[str, Tensor] = unwrapped(task.model).state_dict()
        teacher.tensors = {name: value.detach().clone() for name, value in state.items()}

    def attach(self, *likelihoods: Likelihood | Mapping[str, Likelihood]) -> None:
        """Give a memory that was loaded the likelihoods of its tasks, which no state holds.

        Args:
            likelihoods: one a task, in order; one alone is that of all.

        Raises:
            InputError: neither one nor as many as tasks.
        """
        self._teacher.heads = attached(likelihoods, self.tasks)

    def describe(self) -> dict[str, Any]:
        """The settings that what is held depends on, as plain values."""
        return {"memory": "LwF"}

    def _apart(self, likelihood: Likelihood, before: Tensor, now: Tensor) -> Tensor:
        """``T² KL`` of the answers, the mean over rows; outputs that came later are free."""
        # classes that came later have no earlier answer; softened over the old ones alone
        if now.shape != before.shape:
            now = now[tuple(slice(count) for count in before.shape)]
        warmth = self.temperature if likelihood.has_logits else 1.0
        old, new = (likelihood.distribution(output / warmth) for output in (before, now))
        # T²: gradients of softened logits shrink as 1/T² (Hinton, Vinyals & Dean 2015, section 2.1)
        return warmth**2 * kl_divergence(old, new).sum() / len(before)

    def _state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {"rows": self._teacher.rows}, dict(self._teacher.tensors)

    def _restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self._teacher.tensors = dict(tensors)
        self._teacher.rows, self._teacher.heads = list(values["rows"]), []
