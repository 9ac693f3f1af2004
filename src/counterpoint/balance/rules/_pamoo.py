"""Polyak's step for goals that share a minimum."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.program import nonnegative
from counterpoint.balance.rules._checks import finite
from counterpoint.balance.rules._parts import arrays, ideal_losses, ideal_start, tensor


@dataclass(frozen=True)
class Pamoo:
    """``d = sum_k a_k g_k`` with a = argmax ``2 a' D - a' G a`` over ``a >= 0``; ``w = K a``.

    ``D_k = p_k (L_k - L_k*)``, at least 0. Efroni et al., Aligned Multi Objective Optimization,
    ICML 2025, algorithm 3 (PAMOO): a step of length 1 along d comes nearest to a minimum that all
    goals share. With one goal it is Polyak's step, ``D / |g|^2``: use it with a learning rate of 1
    and plain descent. Where a combination of the gradients is 0 while its losses are not at their
    ideal, the goals share no minimum, and there is no largest a: then a is that of a part of them.

    Attributes:
        ideal: L*, the same for every goal; None takes each goal's lowest loss so far.
    """

    ideal: float | None = 0.0
    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.ideal is not None:
            finite("rule 'pamoo': ideal", self.ideal)

    def start(self, goals: int) -> dict[str, Tensor]:
        """The lowest losses, and whether there are any."""
        return ideal_start(self.ideal, goals)

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """The parabola's maximum, in units of the norms."""
        cosines, _, preference = arrays(inputs)
        ideal, after = ideal_losses(self.ideal, inputs.losses, state)
        # with x = n a: 2 x' (D / n) - x' C x; a gap below 0 would say that L* is no ideal
        gaps = (inputs.losses - ideal).clamp_min(0.0) / inputs.norms
        parts = nonnegative(cosines, preference * gaps.numpy()).x
        return tensor(len(parts) * parts) / inputs.norms, after
