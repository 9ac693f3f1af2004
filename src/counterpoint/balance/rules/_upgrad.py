"""Unconflicting projection of gradients."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.program import projections
from counterpoint.balance.rules._parts import arrays, tensor


@dataclass(frozen=True)
class UpGrad(StatelessRule):
    """``d = (1/K) sum_k p_k pi(g_k)``, pi the projection onto ``{x: <x, g_l> >= 0 for all l}``.

    Quinton and Rey, Jacobian Descent for Multi-Objective Optimization, 2024, proposition 1:
    ``pi(g_k) = sum_l v_l g_l`` with v = argmin ``v' G v`` over ``v >= e_k``. No goal is harmed, and
    the step is linear in the size of each gradient. Solved on cosines, with nothing added to G, so
    that a small gradient is not harmed by a large one either.
    """

    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """The mean of the projections' coefficients."""
        cosines, norms, preference = arrays(inputs)
        # The cone {x: <x, g_l> >= 0} stays the same when a g_l is rescaled, and pi(n u) = n pi(u):
        # so the K programs are those of the unit gradients u, whose Gram matrix is C, and with
        # their answer Y, pi(g_k) = n_k (u_k + sum_l Y_kl u_l). The coefficient of g_l = n_l u_l in
        # sum_k p_k pi(g_k) is then p_l + sum_k p_k n_k Y_kl / n_l.
        pull = preference * norms
        return tensor(preference + (pull @ projections(cosines)) / norms)
