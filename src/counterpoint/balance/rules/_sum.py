"""The plain sum, or fixed weights."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.rules._parts import nan_as


@dataclass(frozen=True)
class Sum(StatelessRule):
    """Nothing is balanced: ``w_k = p_k``; with equal preferences the gradient of the mean loss.

    What every other rule has to beat, once its weights are tuned (Xin et al., Do Current
    Multi-Task Optimization Methods in Deep Learning Even Help?, NeurIPS 2022; Kurin et al., In
    Defense of the Unitary Scalarization, NeurIPS 2022). The preference is the weight.
    """

    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """The preference; NaN for a goal whose loss is not finite."""
        return nan_as(inputs.losses, inputs.preference)
