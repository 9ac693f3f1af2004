"""Alpha-fair sharing of progress."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.program import fair
from counterpoint.balance.rules._checks import at_least
from counterpoint.balance.rules._parts import arrays, tensor


@dataclass(frozen=True)
class FairGrad(StatelessRule):
    """``d = sum_k a_k g_k`` with ``a_k = p_k <d, g_k>^-alpha``; ``w = K a``.

    Ban and Ji, Fair Resource Allocation in Multi-Task Learning, ICML 2024, algorithm 1: d maximises
    ``sum_k p_k <d, g_k>^(1 - alpha) / (1 - alpha)`` at its length. alpha = 1 is `NashMtl` without
    its limit; the larger, the more the goal that gains least counts. Every goal gains. Eigenvalues
    of the cosines below 1e-8 count as 1e-8.

    Attributes:
        alpha: at least 0.1; 2 in the authors' script for CelebA, 1 in LibMTL.
    """

    alpha: float = 2.0
    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least("rule 'fairgrad': alpha", self.alpha, 0.1, example=2.0)

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """The fair program among unit gradients."""
        cosines, norms, preference = arrays(inputs)
        power = 1.0 / self.alpha
        # C u = b / u^power with u = n a. The common size of the norms is put back at the end.
        logs = power * np.log(preference) + (power - 1.0) * np.log(norms)
        highest = float(logs.max())
        parts = fair(cosines, np.exp(np.maximum(logs - highest, -690.0)), power)
        size = (highest + (power - 1.0) * np.log(float(inputs.norms.max()))) / (1.0 + power)
        logs = np.log(len(parts) * parts) + size - np.log(inputs.norms.numpy())
        return tensor(np.exp(logs))
