"""What one balanced step comes back with: its numbers, its ending, and what the monitor said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.errors import Ending


class StepEnding(Ending):
    """What became of a step; `sentence` says it in words."""

    BALANCED = "all goals took part"
    DROPPED = "a goal was not finite and was left out of this step"
    SKIPPED = "a goal, or what the rule gave, was not finite: no gradient was added"
    OVERFLOWED = "a goal was not finite: the gradient is not, so a GradScaler skips it"


class Knowledge(Enum):
    """What a step knows of its goals' gradients, and so where its weights come from."""

    FRESH = "the source is asked in this step, and the rule after it"
    REUSED = "weights, norms and cosines are those of an earlier step with the same goals"
    UNKNOWN = "nothing can be measured in this step: every goal has its preference as its weight"


class Failure(Ending):
    """How a run of several goals gets stuck; `sentence` says what it is, `remedy` what to do."""

    DESERT = "the weights wander at random and no goal improves"
    OBNOXIOUS = "one goal is quiet, then pulls hard, and throws the others back"
    OSCILLATION = "the weights go round in a cycle and no goal improves"
    STANDOFF = "the goals pull against each other and the weights have come to rest"

    @property
    def remedy(self) -> str:
        """What to do about it, for a person."""
        return _REMEDIES[self]


_REMEDIES = {
    Failure.DESERT: "lower the learning rate, or average the weights of the goals over steps",
    Failure.OBNOXIOUS: "lower the preference of that goal, or cap its share of the step",
    Failure.OSCILLATION: (
        "lower the learning rate, or use a rule that does not switch between goals"
    ),
    Failure.STANDOFF: (
        "this is a compromise, and lower losses for all may not exist: choose preferences"
    ),
}


@dataclass(frozen=True)
class Alarm:
    """One failure that the monitor saw.

    Attributes:
        failure: which failure.
        goals: the goals it is about: the obnoxious ones, or all that were watched.
        step: how many steps the monitor had seen, counted from 1.
        measures: the numbers it was told by, named as in `counterpoint.balance.monitor`.
        means: mean weight of each watched goal over the window; what a remedy goes back to.
        over: False when the failure begins, True when it has not been seen for a whole window.

    >>> alarm = Alarm(Failure.STANDOFF, ("fit", "decay"), 400, {"harmony": 0.001})
    >>> alarm.sentence
    'step 400: standoff of fit, decay: the goals pull against each other and the weights have come
    to rest (harmony 0.001)'
    """

    failure: Failure
    goals: tuple[str, ...]
    step: int
    measures: Mapping[str, float]
    means: Mapping[str, float] = field(default_factory=dict[str, float])
    over: bool = False

    @property
    def sentence(self) -> str:
        """What was seen, where and in which numbers, for a person."""
        head = f"step {self.step}: {self.failure.word} of {', '.join(self.goals)}"
        if self.over:
            return f"{head} is over"
        numbers = ", ".join(f"{name} {value:.3g}" for name, value in self.measures.items())
        return f"{head}: {self.failure.sentence}" + (f" ({numbers})" if numbers else "")

    @property
    def remedy(self) -> str:
        """What to do about it, for a person."""
        return "nothing more to do" if self.over else self.failure.remedy

    def to_json(self) -> dict[str, Any]:
        """The same in plain values."""
        return {
            # the word, not the sentence: files outlive the way in which things are put
            "kind": self.failure.word,
            "goals": list(self.goals),
            "step": self.step,
            "measures": dict(self.measures),
            "means": dict(self.means),
            "over": self.over,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Alarm":
        """Rebuild what `to_json` gave."""
        return cls(
            failure=Failure.of(value["kind"]),
            goals=tuple(value["goals"]),
            step=int(value["step"]),
            measures=dict(value["measures"]),
            means=dict(value["means"]),
            over=bool(value["over"]),
        )


@dataclass(frozen=True)
class BalancedStep:
    """The record of one step: small tensors that nobody has waited for; reading one may wait.

    Attributes:
        names: the goals of this step, in the order of the tensors; K of them.
        losses: L_k, (K,); over ranks the mean.
        score: T, the plain mean of the losses, (): what schedulers, early stopping and logs read.
        weights: w_k, float64 (K,); the step is along ``(1/K) sum_k w_k g_k``.
        norms: ``|g_k|`` where the source measures, float64 (K,); NaN where nothing was.
        cosines: between the g_k, float64 (K, K); NaN where nothing was measured.
        source: which Gram source was used, and why.
        knowledge: where the weights come from.
        dropped: goals that were not finite and were left out.
        skipped: whether no goal took part, so that no gradient was added.
        alarms: what the monitor has to say after this step.
    """

    names: tuple[str, ...]
    losses: Float[Tensor, " goals"]
    score: Float[Tensor, ""]
    weights: Float[Tensor, " goals"]
    norms: Float[Tensor, " goals"]
    cosines: Float[Tensor, "goals goals"]
    source: str = ""
    knowledge: Knowledge = Knowledge.FRESH
    dropped: tuple[str, ...] = ()
    skipped: bool = False
    alarms: tuple[Alarm, ...] = ()

    @property
    def fresh(self) -> bool:
        """Whether weights were computed in this step (False between refreshes)."""
        return self.knowledge is not Knowledge.REUSED

    @property
    def status(self) -> StepEnding:
        """What became of the step; waits for the device."""
        if self.skipped:
            return StepEnding.SKIPPED
        if self.dropped:
            return StepEnding.DROPPED
        # asked for only here, since the answer is on the device
        finite = torch.isfinite(self.weights).all() & torch.isfinite(self.losses).all()
        return StepEnding.BALANCED if bool(finite) else StepEnding.OVERFLOWED

    @property
    def control(self) -> Float[Tensor, " goals"]:
        """The share of each goal in the step: ``w_k |g_k| / sum_j w_j |g_j|``, (K,)."""
        pull = self.weights * self.norms
        return pull / pull.sum()
