"""Conflict-averse gradient descent: the best worst case near the mean."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.program import farthest
from counterpoint.balance.rules._checks import between
from counterpoint.balance.rules._parts import arrays, tensor


@dataclass(frozen=True)
class CaGrad(StatelessRule):
    """The d that maximises ``min_k <g_k, d>`` over ``|d - g| <= c |g|``.

    Around the mean ``g = (1/K) sum_k p_k g_k``. Liu et al., Conflict-Averse Gradient Descent for
    Multi-Task Learning, NeurIPS 2021 (its algorithm 1 solves the dual). c = 0 is the mean; for
    c < 1 the stationary points are those of the mean. Where the ball holds a d that harms nobody
    but none that helps all, the nearest such d is taken; where g = 0, d = 0. Not divided by
    ``1 + c``. The preference is in g.

    Attributes:
        c: the radius of the ball relative to ``|g|``, at least 0 and below 1; 0.5 as in LibMTL.
    """

    c: float = 0.5
    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True

    def __post_init__(self) -> None:
        between("rule 'cagrad': c", self.c, 0.0, 1.0, example=0.5)

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """The mean, and what has to be added."""
        cosines, norms, preference = arrays(inputs)
        # On unit gradients the mean has the coefficients m_k = p_k n_k / K; d has m + y there, so
        # (m_k + y_k) / n_k on the g_k, and K times that is w.
        middle = preference * norms / len(norms)
        extra = farthest(cosines, norms, middle, self.c)
        return tensor(preference + len(norms) * extra / norms)
