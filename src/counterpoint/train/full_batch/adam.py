"""Adam on all rows at once: no line search, no curvature, no objection to noise."""

import numpy as np
import torch

from counterpoint.train.full_batch.objective import Objective, Point
from counterpoint.train.full_batch.outcome import Ending
from counterpoint.train.full_batch.watch import Watch

__all__ = ["adam"]


def adam(objective: Objective, watch: Watch, start: Point, rate: float) -> Ending:
    """Adam as torch has it, at a constant rate (Kingma & Ba 2015)."""
    weights = torch.from_numpy(start.where.copy())
    optimiser = torch.optim.Adam([weights], lr=rate)
    here = start
    while True:
        if not np.isfinite(here.gradient).all():
            return Ending.NON_FINITE
        weights.grad = torch.from_numpy(here.gradient.copy())
        optimiser.step()
        here = objective.at(weights.numpy())
        watch(here.where)
