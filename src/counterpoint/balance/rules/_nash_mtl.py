"""The Nash bargaining solution."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.program import fair
from counterpoint.balance.rules._parts import arrays, tensor
from counterpoint.errors import InputError


@dataclass(frozen=True)
class NashMtl(StatelessRule):
    """``d = sum_k a_k g_k`` with ``(G a)_k = p_k / a_k``, ``w = K a``.

    d is shortened to ``|d| <= longest``. Navon et al., Multi-Task Learning as a Bargaining Game,
    ICML 2022, claim 3.1. Every goal gains ``<d, g_k> = p_k / a_k > 0``. ``|d|`` is
    sqrt(K) before it is shortened, whatever the gradients: the step does not shrink as they do.
    Eigenvalues of the cosines below 1e-8 count as 1e-8: at a Pareto-stationary point, where a
    would be infinite, d is some 1e-3 long instead.

    Attributes:
        longest: the largest length of d; 1 in the authors' code, infinity for the equation alone.
    """

    longest: float = 1.0
    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.longest > 0:
            raise InputError(
                f"rule 'nash-mtl': longest must be above 0, found {self.longest}; "
                "for example 1, or inf for no limit"
            )

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """The bargain among unit gradients, divided by the norms."""
        cosines, _, preference = arrays(inputs)
        # with u = n a the norms cancel in n_k (C u)_k = p_k n_k / u_k: the bargain knows no units
        parts = fair(cosines, preference)
        length = np.sqrt(max(float(parts @ cosines @ parts), 0.0))
        parts *= min(1.0, self.longest / max(length, 1e-300))
        return tensor(len(parts) * parts) / inputs.norms
