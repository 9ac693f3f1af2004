"""Relative loss balancing with random lookback."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import at_least, between
from counterpoint.balance.rules._parts import nan_as, shared, zeros


@dataclass(frozen=True)
class Relobralo:
    """Weights follow ``K softmax(L(t) / (T L(t')))``, against the last losses or the first ones.

    ``w(t) = a (rho w(t-1) + (1 - rho) bal(t, 0)) + (1 - a) bal(t, t-1)``, ``bal(t, t')`` the
    softmax and rho 1 with probability `keep`, else 0: Bischof and Kraus, Multi-Objective Loss
    Balancing for Physics-Informed Deep Learning, 2021 (ReLoBRaLo). rho is drawn from the
    balancer's generator. All weights start at 1; the authors' code takes its second step at a = 0.
    Where an older loss is 0 its ratio counts as 1. The preference multiplies the result.

    Attributes:
        smoothing: a; 0.999 in the authors' code.
        temperature: T; 0.1 in their Keras example, 1 in their script. The larger, the more equal
            the weights.
        keep: the expectation of rho; 0.99 in their Keras example, 1 in their script.
    """

    smoothing: float = 0.999
    temperature: float = 0.1
    keep: float = 0.99
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        between("rule 'relobralo': smoothing", self.smoothing, 0.0, 1.0, example=0.999)
        between("rule 'relobralo': keep", self.keep, 0.0, 1.0, example=0.99)
        at_least("rule 'relobralo': temperature", self.temperature, 1e-3, example=0.1)

    def start(self, goals: int) -> dict[str, Tensor]:
        """First and last losses, and the weights without preference."""
        names = ("first", "losses", "seen")
        return {**{name: zeros(goals) for name in names}, "weights": zeros(goals) + 1.0}

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """An average over the past of shares by relative fall."""
        seen = state["seen"] > 0
        first = torch.where(seen, state["first"], inputs.losses)
        last = torch.where(seen, state["losses"], inputs.losses)
        # drawn on the CPU: to read it is not to wait
        draw = torch.rand((), generator=inputs.generator, dtype=torch.float64).item()
        history = state["weights"] if draw < self.keep else self._shares(inputs.losses, first)
        recent = self._shares(inputs.losses, last)
        weights = self.smoothing * history + (1.0 - self.smoothing) * recent
        after = {
            "first": first,
            "losses": inputs.losses,
            "seen": torch.ones_like(first),
            "weights": weights,
        }
        return nan_as(inputs.losses, shared(inputs.preference * weights, inputs)), after

    def _shares(self, now: Tensor, before: Tensor) -> Tensor:
        """``K softmax(now / (T before))``."""
        ratio = torch.where(before == 0, 1.0, now / torch.where(before == 0, 1.0, before))
        return len(now) * torch.softmax(ratio / self.temperature, 0)
