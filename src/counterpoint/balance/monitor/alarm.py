"""What can go wrong between goals, in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Alarm", "Kind"]


class Kind(Enum):
    """How a run of several goals gets stuck; `sentence` says what it is, `remedy` what to do."""

    DESERT = "desert"
    OBNOXIOUS = "obnoxious"
    OSCILLATION = "oscillation"
    STANDOFF = "standoff"

    @property
    def sentence(self) -> str:
        """What is happening, for a person."""
        return _SENTENCES[self]

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self]


_SENTENCES = {
    Kind.DESERT: "the weights wander at random and no goal improves",
    Kind.OBNOXIOUS: "one goal is quiet, then pulls hard, and throws the others back",
    Kind.OSCILLATION: "the weights go round in a cycle and no goal improves",
    Kind.STANDOFF: "the goals pull against each other and the weights have come to rest",
}
_REMEDIES = {
    Kind.DESERT: "lower the learning rate, or average the weights of the goals over steps",
    Kind.OBNOXIOUS: "lower the preference of that goal, or cap its share of the step",
    Kind.OSCILLATION: "lower the learning rate, or use a rule that does not switch between goals",
    Kind.STANDOFF: (
        "this is a compromise, and lower losses for all may not exist: choose preferences"
    ),
}


@dataclass(frozen=True)
class Alarm:
    """One failure that the monitor saw.

    Attributes:
        kind: which failure.
        goals: the goals it is about: the obnoxious ones, or all that were watched.
        step: how many steps the monitor had seen, counted from 1.
        measures: the numbers it was told by, named as in the docstring of the failure's file.
        means: mean weight of each watched goal over the window; what a remedy goes back to.
        over: False when the failure begins, True when it has not been seen for a whole window.

    >>> alarm = Alarm(Kind.STANDOFF, ("fit", "decay"), 400, {"harmony": 0.001})
    >>> alarm.sentence
    'step 400: standoff of fit, decay: the goals pull against each other and the weights have come
    to rest (harmony 0.001)'
    """

    kind: Kind
    goals: tuple[str, ...]
    step: int
    measures: Mapping[str, float]
    means: Mapping[str, float] = field(default_factory=dict[str, float])
    over: bool = False

    @property
    def sentence(self) -> str:
        """What was seen, where and in which numbers, for a person."""
        head = f"step {self.step}: {self.kind.value} of {', '.join(self.goals)}"
        if self.over:
            return f"{head} is over"
        numbers = ", ".join(f"{name} {value:.3g}" for name, value in self.measures.items())
        return f"{head}: {self.kind.sentence}" + (f" ({numbers})" if numbers else "")

    @property
    def remedy(self) -> str:
        """What to do about it, for a person."""
        return "nothing more to do" if self.over else self.kind.remedy

    def to_json(self) -> dict[str, Any]:
        """The same in plain values."""
        return {
            "kind": self.kind.value,
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
            kind=Kind(value["kind"]),
            goals=tuple(value["goals"]),
            step=int(value["step"]),
            measures=dict(value["measures"]),
            means=dict(value["means"]),
            over=bool(value["over"]),
        )
