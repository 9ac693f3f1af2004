"""Steepest descent with a line search: the oldest method, and the slowest near a minimum."""

import numpy as np

from counterpoint.train.full_batch.lines import search
from counterpoint.train.full_batch.objective import Objective, Point
from counterpoint.train.full_batch.outcome import Ending
from counterpoint.train.full_batch.watch import Watch

__all__ = ["steepest_descent"]

_FLAT = 0.1  # lines are searched well: the next direction depends on where they end


def steepest_descent(objective: Objective, watch: Watch, start: Point, rate: float) -> Ending:
    """Go against the gradient as far as pays, again and again (Cauchy 1847).

    The first step is one unit long; later ones begin at the length that would repeat the last
    decrease (Nocedal & Wright 2006, equation 3.60).
    """
    del rate
    here, before = start, start.score + float(np.linalg.norm(start.gradient)) / 2
    while True:
        there = search(objective, here, -here.gradient, before=before, flat=_FLAT)
        if there is None:
            return Ending.NO_DECREASE
        here, before = there, here.score
        watch(here.where)
