"""What to do with a goal that is not finite."""

from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoint.balance.sources import Measured, Scene
from counterpoint.errors import InputError

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True)
class Verdict:
    """Which goals take part in a step.

    Attributes:
        kept: their places.
        dropped: the names of the others.
    """

    kept: tuple[int, ...]
    dropped: tuple[str, ...] = ()

    @property
    def skipped(self) -> bool:
        """Whether none does."""
        return not self.kept


def judge(policy: str, scene: Scene, losses: Tensor, measured: Measured | None) -> Verdict:
    """Decide from numbers that all ranks have in common, so that all decide alike.

    With a GradScaler, and with the policy "pass", nothing is looked at: what is not finite reaches
    `.grad`, where the scaler finds it and skips the step.

    Args:
        policy: see `counterpoint.balance.checks.POLICIES`.
        scene: the step.
        losses: the mean over ranks, (K,).
        measured: what was measured, if anything was.

    Raises:
        InputError: a goal is not finite, and the policy is "raise".
    """
    everyone = tuple(range(len(scene.names)))
    if policy == "pass" or scene.scale is not None:
        return Verdict(everyone)
    numbers = losses
    if measured is not None and measured.known:
        # a sum of two numbers is finite if both are (neither is near the largest float64)
        numbers = losses + measured.gram.norms
    right: list[bool] = torch.isfinite(numbers).tolist()
    if all(right):
        return Verdict(everyone)
    dropped = tuple(name for name, good in zip(scene.names, right, strict=True) if not good)
    if policy == "raise":
        raise InputError(_words(scene, losses, dropped))
    if policy == "skip":
        return Verdict((), dropped)
    return Verdict(tuple(place for place in everyone if right[place]), dropped)


def _words(scene: Scene, losses: Tensor, dropped: tuple[str, ...]) -> str:
    own = torch.isfinite(torch.stack([loss.detach().double() for loss in scene.losses]))
    where = scene.ranks.blame(~own, scene.names)
    name = dropped[0]
    value = losses[scene.names.index(name)].item()
    if where:
        what = f"not finite: {where}" if scene.ranks.count > 1 else f"not finite ({value})"
    else:
        what = f"its value is finite ({value:g}), its gradient is not"
    return (
        f"goal {name!r}: {what}; no gradient was added; lower the rate, clip the gradient, look for"
        " values that are not finite in the data, or choose nonfinite='skip' or 'drop'"
    )
