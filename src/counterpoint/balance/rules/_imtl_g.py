"""Impartial gradients: equal projections on all of them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.program import solved
from counterpoint.balance.rules._parts import arrays, tensor


@dataclass(frozen=True)
class ImtlG(StatelessRule):
    """``d = sum_k a_k g_k`` with one ``<d, g_k> / |g_k|`` for all k, ``sum a = 1``, ``w = K a``.

    Liu et al., Towards Impartial Multi-Task Learning, ICLR 2021 (IMTL-G), as
    ``a_k ~ (C^+ p)_k / |g_k|``: with a preference, the projections are as p_k. Where no combination
    makes them so, the nearest one. Where the a sum to nothing or less (the paper's d would then
    raise every loss), their absolute values sum to 1 instead; where all are 0, d = 0.
    """

    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """Equal projections, solved for on cosines."""
        cosines, norms, preference = arrays(inputs)
        # d = sum_k (a_k n_k) u_k, so its projections on the unit gradients are C (n a) ~ p
        raw = solved(cosines, preference) / norms
        size = float(np.abs(raw).sum())
        total = float(raw.sum())
        divisor = total if total > 1e-6 * size else size
        return tensor(len(norms) * raw / (divisor or 1.0))
