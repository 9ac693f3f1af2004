"""How the learning rate (and, in one-cycle, the momentum) moves from the first step to the last.

Every schedule is a function of the step alone, so nothing of it has to be saved.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from counterpoint.recipe import Training

_START = 25.0  # one-cycle begins at the highest rate divided by this
_END = 1e4  # and ends at its beginning divided by this
_LIGHT, _HEAVY = 0.85, 0.95


class Phase(NamedTuple):
    """What one step uses: the share of the highest rate, and the momentum."""

    share: float
    momentum: float


Schedule: TypeAlias = Callable[[int], Phase]
"""The phase of step 0, 1, ..., total - 1."""


def schedule(training: Training, total: int) -> Schedule:
    r"""The schedule that a `Training` names, for a run of `total` steps.

    With peak rate 1, warm-up share w and step s:

    - one-cycle (Smith & Topin 2018), in torch's convention (`OneCycleLR`): a cosine from 1/25 up
      to 1 over the first w = 0.3 of the steps, a cosine down to 1/250,000 over the rest; momentum
      0.95 -> 0.85 -> 0.95 meanwhile.
    - cosine (Loshchilov & Hutter 2017): a line up over the first w, then
      :math:`(1 + \cos \pi t) / 2`, where t goes from 0 towards 1 over the rest.
    - constant: a line up over the first w, then 1.

    Args:
        training: names the schedule, the warm-up and the momentum.
        total: optimiser steps of the whole run.

    >>> schedule(Training(schedule="cosine"), 4)(2).share
    0.5
    """
    if training.schedule == "one-cycle":
        return _one_cycle(training, total)
    # a whole number of steps, so the peak is reached exactly
    rise = round((training.warmup or 0.0) * total)
    falls = training.schedule == "cosine"

    def phase(step: int) -> Phase:
        if step < rise:
            # from 1 / rise: a step at rate 0 would be none
            return Phase((step + 1) / rise, training.momentum)
        share = _cosine(1.0, 0.0, (step - rise) / (total - rise)) if falls else 1.0
        return Phase(share, training.momentum)

    return phase


def _one_cycle(training: Training, total: int) -> Schedule:
    warmup = 0.3 if training.warmup is None else training.warmup
    # torch counts its phases so (`OneCycleLR`), fractions of a step included
    top, last = warmup * total - 1.0, total - 1.0
    moves = training.momentum > 0.0

    def phase(step: int) -> Phase:
        if step <= top:
            t = step / top if top > 0 else 1.0
            share, momentum = _cosine(1 / _START, 1.0, t), _cosine(_HEAVY, _LIGHT, t)
        else:
            t = (step - top) / (last - top) if total > 1 else 0.0
            share, momentum = _cosine(1.0, 1 / _START / _END, t), _cosine(_LIGHT, _HEAVY, t)
        return Phase(share, momentum if moves else 0.0)

    return phase


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * t))
