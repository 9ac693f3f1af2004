"""The plain sum, or fixed weights."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from counterpoint.balance.rule import Given, State

__all__ = ["Sum"]


@dataclass(frozen=True)
class Sum:
    """Nothing is balanced: ``w_k = p_k``; with equal preferences the gradient of the mean loss.

    What every other rule has to beat, once its weights are tuned (Xin et al., Do Current
    Multi-Task Optimization Methods in Deep Learning Even Help?, NeurIPS 2022; Kurin et al., In
    Defense of the Unitary Scalarization, NeurIPS 2022). The preference is the weight.
    """

    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def start(self, goals: int) -> dict[str, Tensor]:
        """Nothing to remember."""
        del goals
        return {}

    def weights(
        self, given: Given, state: State
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """The preference; NaN for a goal whose loss is not finite."""
        del state
        return given.preference + 0.0 * given.losses, {}
