"""Putting the balanced gradient where an optimiser finds it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from counterpoint.balance.objective import modulated, stacked
from counterpoint.balance.sources import Measured, Scene

__all__ = ["exactly", "fill", "scale_of", "score_of"]


def fill(
    scene: Scene, weights: Tensor, kept: Sequence[int], measured: Measured | None = None
) -> None:
    """Add ``(1/K) sum_k w_k g_k`` over the kept goals to `.grad`.

    Args:
        scene: the step.
        weights: w of all goals.
        kept: places of the goals that take part; K is their number.
        measured: what the source found, which may have all gradients at hand.
    """
    if measured is not None and measured.assemble is not None:
        measured.assemble(weights * scene.share, kept)
        return
    whole = len(kept) == len(scene.names)
    some = weights if whole else weights[torch.tensor(kept, device=weights.device)]
    value = modulated([scene.losses[place] for place in kept], some)
    if scene.share != 1.0:
        value = value * scene.share
    if scene.scale is not None:
        value = value * scene.scale
    if not whole and scene.ranks.count > 1:
        # other ranks wait for the gradient of every weight, also of those that only a dropped
        # goal depends on
        value = value + sum(0.0 * p.sum() for p in scene.model.parameters() if p.requires_grad)
    if scene.backward is None:
        value.backward()
    else:
        scene.backward(value)


def scale_of(scaler: torch.amp.GradScaler | None, like: Tensor) -> Tensor | None:
    """What a scaler multiplies losses by, (); it is not waited for. None if it does nothing."""
    if scaler is None or not scaler.is_enabled():
        return None
    return scaler.scale(like.new_ones((), dtype=torch.float32)).detach()


def score_of(scene: Scene, values: Tensor, kept: Sequence[int]) -> Tensor:
    """T of the goals that take part (of all where none does), over all ranks; ()."""
    if 0 < len(kept) < len(values):
        return values[list(kept)].mean()
    if scene.ranks.count > 1 or not kept:
        return values.mean()
    return stacked(scene.losses).detach().mean()  # in the losses' own type, as F has it


def exactly(device: str) -> AbstractContextManager[object]:
    """A block in which no product is rounded by an autocast around the call."""
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
