"""Weights by a power of the gradient's magnitude: from 'attend to who is awake' to impartial."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import GoalTensors, RuleInputs
from counterpoint.balance.rules._checks import between, finite
from counterpoint.balance.rules._parts import nan_as, zeros


@dataclass(frozen=True)
class Magnitude:
    """``w_k ~ p_k n_k^a`` with ``sum_k w_k = K``; n_k is the running mean of norms.

    a = -1 (the default) is impartial: every goal pulls equally, p_k times as much with a
    preference, and no loss counts for its unit. a = 0 is the sum. a = +1 attends to who is awake,
    and multiplies an imbalance of units; relative to each goal's own past it does not. Known
    members: the loss balancer of Defossez et al., High Fidelity Neural Audio Compression, 2022,
    and the adaptive weight of Esser et al., Taming Transformers, CVPR 2021 (both a = -1).

    Running means forget their start (they are divided by ``1 - decay^t``). With ``sum w = K`` and
    a < 0 the length of the step follows the *smallest* norms; a floor keeps one goal that is
    nearly at rest from stopping the others. A goal whose gradient is exactly zero has its
    preference as its weight, and its mean waits.

    Attributes:
        power: a.
        relative: take ``|g_k| / n_k`` to the power instead: now, compared with its own past.
        decay: of the running mean; 0 takes the norm of this step alone.
        floor: n_k counts as no less than this part of the largest; 0 for exact scale invariance.
    """

    power: float = -1.0
    relative: bool = False
    decay: float = 0.9
    floor: float = 1e-8
    needs: ClassVar[str] = "norms"
    waits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        finite("rule 'magnitude': power", self.power)
        between("rule 'magnitude': decay", self.decay, 0.0, 1.0, example=0.9)
        between("rule 'magnitude': floor", self.floor, 0.0, 1.0, example=1e-8)

    def start(self, goals: int) -> dict[str, Tensor]:
        """Running norms, and how many steps each has seen."""
        return {"norms": zeros(goals), "count": zeros(goals)}

    def weights(
        self, inputs: RuleInputs, state: GoalTensors
    ) -> tuple[Float[Tensor, " goals"], dict[str, Tensor]]:
        """Powers of the running norms, this step's included."""
        norms, wanted = inputs.norms, inputs.preference
        awake = norms != 0
        running = torch.lerp(
            norms, state["norms"], self.decay
        )  # decay * before + (1 - decay) * now
        count = state["count"] + awake
        mean = running / (1.0 - self.decay**count)
        logs = (norms / mean if self.relative else mean).log()
        # Among logarithms: a high power of a small number would be lost.
        logs = torch.where(awake, logs, -torch.inf)
        powers = self.power * (logs - logs.amax()).clamp_min(self._lowest)
        # the highest first, so that the largest exponential is 1
        highest = torch.where(awake, powers, -torch.inf).amax()
        raw = torch.where(awake, wanted * (powers - highest).exp(), 0.0)
        total = torch.where(awake, wanted, 0.0).sum()
        weights = torch.where(awake, raw / raw.sum() * total, wanted)
        after = {"norms": torch.where(awake, running, state["norms"]), "count": count}
        return nan_as(inputs.losses + norms, weights), after

    @property
    def _lowest(self) -> float:
        return math.log(self.floor) if self.floor > 0 else -math.inf
