"""Unconflicting projection of gradients."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from counterpoint.balance.program import projections
from counterpoint.balance.rule import Given, State
from counterpoint.balance.rules.parts import arrays, tensor

__all__ = ["UpGrad"]


@dataclass(frozen=True)
class UpGrad:
    """``d = (1/K) sum_k p_k pi(g_k)``, pi the projection onto ``{x: <x, g_l> >= 0 for all l}``.

    Quinton and Rey, Jacobian Descent for Multi-Objective Optimization, 2024, proposition 1:
    ``pi(g_k) = sum_l v_l g_l`` with v = argmin ``v' G v`` over ``v >= e_k``. No goal is harmed, and
    the step is linear in the size of each gradient. Solved on cosines, with nothing added to G, so
    that a small gradient is not harmed by a large one either.
    """

    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True

    def start(self, goals: int) -> dict[str, Tensor]:
        """Nothing to remember."""
        del goals
        return {}

    def weights(
        self, given: Given, state: State
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """The mean of the projections' coefficients."""
        del state
        cosines, norms, preference = arrays(given)
        pull = preference * norms
        return tensor(preference + (pull @ projections(cosines)) / norms), {}
