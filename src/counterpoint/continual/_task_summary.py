"""What is learnt of a task's rows on the way of another pass over them."""

import math
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from counterpoint.continual._base import LearntTask
from counterpoint.continual._warning import ForgettingWarning
from counterpoint.curvature import sum_over_ranks
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Heads, Likelihood

SATURATED = 0.05
"""Share of the widest variance of an output below which its Fisher information is saturated."""

_LOOKED_AT = 64
"""Rows of each batch whose outputs are looked at: the Fisher information of all costs a pass."""


class TaskSummary:
    """Rows, classes, and how certain the model is of its outputs; an observer of `fisher`.

    Attributes:
        rows: seen, by their weight.
    """

    def __init__(self) -> None:
        self.rows = 0.0
        self._classes: dict[str, tuple[float, float]] = {}
        self._variance, self._widest = 0.0, 0.0

    def __call__(self, batch: Batch, heads: Heads, outputs: Mapping[str, Tensor]) -> None:
        """Look at part of a batch."""
        self.count(batch, heads)
        for name, likelihood in heads.likelihoods.items():
            if likelihood.has_logits:
                self._look_at_variance(likelihood, outputs[name].detach()[:_LOOKED_AT])

    def count(self, batch: Batch, heads: Heads) -> None:
        """Look at rows and targets alone."""
        self.rows += batch.rows if batch.weight is None else float(batch.weight.sum())
        for name, likelihood in heads.likelihoods.items():
            if likelihood.classes:
                target = batch.target
                self._look_at_classes(
                    name, target.get(name) if isinstance(target, Mapping) else target, likelihood
                )

    def all_reduced(self) -> "TaskSummary":
        """The same over all ranks."""
        result = TaskSummary()
        sums = sum_over_ranks([self.rows, self._variance, self._widest])
        result.rows, result._variance, result._widest = sums
        for name, (least, most) in self._classes.items():
            # the least of all ranks as a most, so that one message does
            ends = sum_over_ranks([-least, most], most=True)
            result._classes[name] = (-ends[0], ends[1])
        return result

    def judged(self) -> float:
        """The rows of all ranks; none, or all of one class, are refused."""
        if not self.rows:
            raise InputError("data: expected at least one row that counts, found none")
        whole = self.all_reduced()
        whole.refuse_one_class()
        return whole.rows

    def refuse_one_class(self) -> None:
        """Refuse a task whose rows are all of one class."""
        for name, (least, most) in self._classes.items():
            if least == most:
                head = f" of head {name!r}" if name else ""
                raise InputError(
                    f"task: expected at least two classes, found {self.rows:g} rows{head} all of"
                    f" class {least:g}: what it teaches is to say that always"
                )

    def warn_saturated(self, *, stacklevel: int) -> None:
        """Warn where the variance of outputs is below `SATURATED` of the widest."""
        share = self._variance / self._widest if self._widest else 1.0
        if math.isfinite(share) and share < SATURATED:
            warnings.warn(
                f"the model is so certain of this task's rows that the Fisher information of its"
                f" outputs is {share:.2g} of the most: a strength of 1 holds next to nothing. Take"
                " labels='jac', train fewer epochs, or raise the strength by orders of magnitude",
                ForgettingWarning,
                stacklevel=stacklevel + 1,
            )

    def _look_at_classes(self, name: str, target: Tensor | None, likelihood: Likelihood) -> None:
        if target is None or target.ndim != 1:
            return
        # known to every rank, whatever its rows are: all of them speak of it
        self._classes.setdefault(name, (math.inf, -math.inf))
        counts = likelihood.weight_of(target)
        # a number that means "ignored" is no class
        target = target if counts is None else target[counts > 0]
        if not len(target):
            return
        # two classes or one is all that is asked, so the ends are enough
        least, most = (float(end) for end in target.aminmax())
        before = self._classes[name]
        self._classes[name] = (min(least, before[0]), max(most, before[1]))

    def _look_at_variance(self, likelihood: Likelihood, output: Tensor) -> None:
        with torch.no_grad():
            # tr Λ of the output beside its most, at logits of zero: how certain the model is
            self._variance += float(likelihood.root(output).square().sum())
            self._widest += float(likelihood.root(torch.zeros_like(output)).square().sum())


def rows_in(task: LearntTask) -> float:
    """The rows of all batches, by their weight, over all ranks."""
    seen = TaskSummary()
    for batch in task.batches():
        seen.count(batch, task.heads)
    return seen.judged()
