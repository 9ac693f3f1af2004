"""What a rule is: from the Gram matrix of the goals' gradients and the losses to K weights."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

GoalTensors: TypeAlias = Mapping[str, Tensor]
"""What a rule remembers: float64 tensors of shape (), (K,) or (K, K), every axis one of goals."""


NEEDS = ("losses", "norms", "gram")
"""What a rule may need and a source may give, from the least to the most."""


@dataclass(frozen=True)
class RuleInputs:
    """What a rule sees of one step; K goals in a fixed order.

    Attributes:
        losses: float64 (K,).
        norms: ``|g_k|``, float64 (K,); all 1 for a rule that needs only losses.
        cosines: float64 (K, K), 1 on the diagonal; the identity for a rule that needs no angles.
        preference: how much each goal is wanted, float64 (K,), positive, of mean 1.
        generator: the balancer's own, on the CPU.
    """

    losses: Float[Tensor, " goals"]
    norms: Float[Tensor, " goals"]
    cosines: Float[Tensor, "goals goals"]
    preference: Float[Tensor, " goals"]
    generator: torch.Generator

    @property
    def gram(self) -> Float[Tensor, "goals goals"]:
        """G = J J'."""
        return self.norms[:, None] * self.cosines * self.norms


@runtime_checkable
class Rule(Protocol):
    """Weights w of one step, so that the step is along ``(1/K) sum_k w_k g_k``; w = 1 is the mean.

    A rule is a frozen dataclass: its settings are its fields, what it remembers is the state that
    goes in and comes out; one that remembers nothing is a `StatelessRule`.

    Attributes:
        needs: one of `NEEDS`: what of `RuleInputs` it reads.
        waits: True for a rule that decides on the CPU (it solves a program, or draws): it gets
            CPU tensors and only goals whose gradient is not zero, all of it finite, at least two
            of them. False for closed forms: tensors stay on their device, nothing may be read
            (no ``if`` on a value), goals with norm 0 are among them and get their preference,
            and what is not finite comes out as NaN.

    A rule that waits may have `sums = True`: its step is a sum ``sum_k a_k g_k`` (so w = K a),
    which does not shrink because some goal is left out. One that speaks of goals by name may have
    ``bind(names, absent) -> Rule``, which gives the rule for a step.
    """

    needs: ClassVar[str]
    waits: ClassVar[bool]

    def start(self, goals: int) -> dict[str, Tensor]:
        """What it remembers before the first step, for so many goals; {} if nothing."""
        ...

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """Weights, float64 (K,), and what to remember; changes nothing in place."""
        ...


class StatelessRule(ABC):
    """A `Rule` that remembers nothing: all it needs is in the inputs of the step.

    >>> class Louder(StatelessRule):
    ...     needs, waits = "norms", False
    ...     def weigh(self, inputs):
    ...         return inputs.norms / inputs.norms.mean()
    >>> isinstance(Louder(), Rule), Louder().start(2)
    (True, {})
    """

    @abstractmethod
    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """Weights, float64 (K,)."""

    def start(self, goals: int) -> dict[str, Tensor]:
        """Nothing."""
        del goals
        return {}

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """Weights, and nothing to remember."""
        del state
        return self.weigh(inputs), {}
