"""The multiple-gradient descent algorithm: the shortest vector of the hull."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.program import nonnegative
from counterpoint.balance.rules._parts import arrays, tensor


@dataclass(frozen=True)
class Mgda(StatelessRule):
    """``d = sum_k a_k g_k`` with a = argmin ``a' G a`` over ``a >= 0``, ``sum a = 1``; ``w = K a``.

    Desideri, Multiple-Gradient Descent Algorithm for Multiobjective Optimization, Comptes Rendus
    Mathematique 350, 2012; Sener and Koltun, Multi-Task Learning as Multi-Objective Optimization,
    NeurIPS 2018. d lowers every goal, and is 0 exactly at a Pareto-stationary point; a point where
    one gradient is 0 is such, too, though others may still fall. Solved by an active set, not by
    Frank-Wolfe (their algorithm 2): to the last digits. With a preference the hull is that of
    ``g_k / p_k``: goals that are not satisfied anyway fall in proportion to p_k.
    """

    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """From the parabola's minimum under ``C t >= 1 / n``, or the ray on which it vanishes."""
        cosines, norms, preference = arrays(inputs)
        norms = norms / preference  # those of g_k / p_k
        # Whether 0 lies in the hull depends on directions alone, so it is asked of them.
        answer = nonnegative(cosines, np.ones(len(norms)))
        if answer.ray is None:
            # At the shortest d of the hull G a >= |d|^2, with equality where a_k > 0. For x = n a
            # that is C x >= |d|^2 / n: this program's conditions, up to a factor that drops out.
            answer = nonnegative(cosines, norms.min() / norms)
        parts = answer.x if answer.ray is None else answer.ray
        shares = parts * (norms.min() / norms)
        return tensor(len(norms) * shares / shares.sum() / preference)
