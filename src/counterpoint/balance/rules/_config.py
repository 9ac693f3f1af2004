"""Conflict-free inverse gradients."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.program import solved
from counterpoint.balance.rules._parts import arrays, tensor


@dataclass(frozen=True)
class Config(StatelessRule):
    """``d = (sum_k <g_k, e>) e``, e the unit vector whose cosines with all g_k are equal.

    Liu, Chu and Thuerey, ConFIG: Towards Conflict-Free Training of Physics Informed Neural
    Networks, ICLR 2025, equation 2, with ``e ~ sum_k (C^+ p)_k g_k / |g_k|``: with a
    preference the cosines are as p_k. A K x K solve gives what their pseudo-inverse of all
    gradients does. Where no direction has such cosines, the nearest one; where there is none at
    all, d = 0. The direction is that of `ImtlG`, the length another, and small where goals
    conflict: an optimiser that remembers lengths, such as Adam, takes another way.
    """

    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """Equal cosines, solved for on the cosines between the goals."""
        cosines, norms, preference = arrays(inputs)
        # e ~ sum_k x_k u_k with C x = p: its products with the unit gradients are the p_k
        parts = solved(cosines, preference)
        pull = cosines @ parts
        square = float(parts @ pull)
        # a combination that is zero but for rounding: no direction has such cosines
        if square <= 1e-20 * float(np.square(parts).sum()):
            return tensor(0.0 * parts)
        # with e = sum_k x_k u_k / sqrt(x' C x): sum_k <g_k, e> e = (n' C x / x' C x) sum_k x_k u_k
        length = float(norms @ pull) / square
        return tensor(len(norms) * length * parts / norms)
