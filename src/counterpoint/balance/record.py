"""What one balanced step comes back with."""

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from counterpoint.balance.monitor import Alarm

__all__ = ["Status", "Step"]


class Status(Enum):
    """What became of a step; `sentence` says it in words."""

    BALANCED = "balanced"
    DROPPED = "dropped"
    SKIPPED = "skipped"
    OVERFLOWED = "overflowed"

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.BALANCED: "all goals took part",
    Status.DROPPED: "a goal was not finite and was left out of this step",
    Status.SKIPPED: "a goal was not finite: no gradient was added",
    Status.OVERFLOWED: "a goal was not finite: the gradient is not, so a GradScaler skips it",
}


@dataclass(frozen=True)
class Step:
    """The record of one step: small tensors that nobody has waited for; reading one may wait.

    Attributes:
        names: the goals of this step, in the order of the tensors; K of them.
        losses: L_k, (K,); over ranks the mean.
        score: T, the plain mean of the losses, (): what schedulers, early stopping and logs read.
        weights: w_k, float64 (K,); the step is along ``(1/K) sum_k w_k g_k``.
        norms: ``|g_k|`` where the source measures, float64 (K,); NaN where nothing was.
        cosines: between the g_k, float64 (K, K); NaN where nothing was measured.
        source: which Gram source was used, and why.
        fresh: whether weights were computed in this step (False between refreshes).
        dropped: goals that were not finite and were left out.
        alarms: what the monitor has to say after this step.
    """

    names: tuple[str, ...]
    losses: Float[Tensor, " goals"]
    score: Float[Tensor, ""]
    weights: Float[Tensor, " goals"]
    norms: Float[Tensor, " goals"]
    cosines: Float[Tensor, "goals goals"]
    source: str = ""
    fresh: bool = True
    dropped: tuple[str, ...] = ()
    skipped: bool = False
    alarms: tuple["Alarm", ...] = field(default=())

    @property
    def status(self) -> Status:
        """What became of the step; waits for the device."""
        if self.skipped:
            return Status.SKIPPED
        if not bool(torch.isfinite(self.weights).all() & torch.isfinite(self.losses).all()):
            return Status.DROPPED if self.dropped else Status.OVERFLOWED
        return Status.DROPPED if self.dropped else Status.BALANCED

    @property
    def control(self) -> Float[Tensor, " goals"]:
        """The share of each goal in the step: ``w_k |g_k| / sum_j w_j |g_j|``, (K,)."""
        pull = self.weights * self.norms
        return pull / pull.sum()
