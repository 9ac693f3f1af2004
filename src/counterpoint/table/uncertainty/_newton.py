"""The least of a smooth function of few weights, by steps that never make it worse."""

from collections.abc import Callable

import torch
from torch import Tensor

_HALVINGS = 14


def least(
    loss: Callable[[Tensor], float],
    bent: Callable[[Tensor], tuple[Tensor, Tensor]],
    start: Tensor,
    *,
    steps: int,
    tolerance: float,
) -> Tensor:
    """Where steps of a curvature, halved while they do not help, gain no more than a tolerance."""
    at, now = start, loss(start)
    for _ in range(steps):
        slope, curvature = bent(at)
        at, later = _halved(loss, at, torch.linalg.solve(curvature, slope), now)
        # relative to the loss, which is a sum over rows and grows with them
        done = now - later <= tolerance * (1 + abs(now))
        now = later
        if done:
            break
    return at


def _halved(
    loss: Callable[[Tensor], float], at: Tensor, step: Tensor, now: float
) -> tuple[Tensor, float]:
    """A step that does not make it worse, or none."""
    for halving in range(_HALVINGS):
        to = at - step * 0.5**halving
        found = loss(to)
        # not so where the loss is NaN: a step too far is halved like one that is worse
        if found <= now:
            return to, found
    return at, now
