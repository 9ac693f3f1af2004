"""Fast adaptive multitask optimisation: equal relative progress, from losses alone."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import at_least
from counterpoint.balance.rules._parts import adam, adam_start, nan_as, zeros


@dataclass(frozen=True)
class Famo:
    """``w_k = K c z_k / D_k``, ``z_k ~ p_k exp(x_k)``, ``D_k = L_k - b_k``, ``c = 1 / sum z / D``.

    After a step, x moves by Adam against ``J' (log D(before) - log D(after))``, J the Jacobian of
    z: goals that fell less, relatively, get more. Liu et al., FAMO: Fast Adaptive Multitask
    Optimization, NeurIPS 2023, algorithm 2 (appendix C). "After" is the loss of the next
    call; the paper evaluates the same batch once more, so small batches make x noisier here.

    The bound b_k is 0, as in the paper, for a goal whose losses are positive, and twice the
    lowest loss seen for one that has been below 0, so that D is positive and never small by
    accident. The preference multiplies z.

    Attributes:
        rate: of Adam on x; 0.025 in the authors' code.
        decay: gamma, the pull of x to 0; 0.001 in algorithm 2, 0.01 in the authors' module, 0 for
            their toy problem.
    """

    rate: float = 0.025
    decay: float = 0.001
    needs: ClassVar[str] = "losses"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least("rule 'famo': rate", self.rate, 0.0, example=0.025)
        at_least("rule 'famo': decay", self.decay, 0.0, example=0.001)

    def start(self, goals: int) -> dict[str, Tensor]:
        """X with the moments of Adam, the losses before, and the lowest at or below 0."""
        extra = {name: zeros(goals) for name in ("losses", "lowest", "seen")}
        return {**adam_start(goals), **extra}

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """What the last step did moves x; then the weights of this one."""
        lowest = torch.minimum(state["lowest"], inputs.losses)
        above = _above(inputs.losses, lowest)
        fell = _above(state["losses"], lowest).log() - above.log()
        share = torch.softmax(state["value"] + inputs.preference.log(), 0)
        fell = torch.where(state["seen"] > 0, fell, 0.0)
        # J' times the fall, with J = diag(z) - z z', the Jacobian of a softmax
        after = adam(state, share * (fell - (share * fell).sum()), self.rate, self.decay)
        # A goal's first loss tells nothing: its x, and its Adam, begin with the second.
        after = {name: torch.where(state["seen"] > 0, after[name], state[name]) for name in after}
        share = torch.softmax(after["value"] + inputs.preference.log(), 0)
        # w ~ z_k / D_k, of sum K (the paper's c); a softmax of logarithms cannot overflow
        log = share.log() - above.log()
        weights = len(log) * torch.softmax(log, 0)
        known = {"losses": inputs.losses, "lowest": lowest, "seen": torch.ones_like(lowest)}
        return nan_as(inputs.losses, weights), {**after, **known}


def _above(losses: Tensor, lowest: Tensor) -> Tensor:
    """D: how far losses are above a bound below all of them; at least 1e-200."""
    return (losses - 2.0 * lowest).clamp_min(1e-200)
