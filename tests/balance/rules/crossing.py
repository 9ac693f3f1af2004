"""The problem of two crossing valleys (Liu et al. 2021; Navon et al. 2022), first loss times 0.1.

The front is b = -8.3552, a in [-7, 7]. Published: Adam at 1e-3, 35,000 steps from five starts. As
a program: `crossing.py upgrad` prints where that rule ends; for tens of thousands of steps that is
several times as fast as in a test, where shapes are checked at every call.
"""

import json
import sys

import numpy as np
import torch

from counterpoint.balance._rule import RuleInputs
from counterpoint.balance.rules import Famo, Magnitude, rule

__all__ = ["STARTS", "arrived", "crossing", "run"]

STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
SCALES = np.array([0.1, 1.0])
LOWEST = -21.0
"""Below all losses, in units of `SCALES`: for rules that want them positive."""
STEPS, RATE, WATCH, STILL = 35_000, 1e-3, 500, 2e-4


def crossing(points):
    """Losses, (points, 2), and their gradients, (points, 2, 2), at points (a, b)."""
    a, b = points.T
    bend, half = np.tanh(b), np.tanh(b / 2)
    above, below = np.maximum(half, 0.0), np.maximum(-half, 0.0)
    slope = (1.0 - half**2) / 2
    rise, fall = np.where(b >= 0, slope, 0.0), np.where(b <= 0, -slope, 0.0)
    losses, gradients = np.empty((len(points), 2)), np.empty((len(points), 2, 2))
    sides = ((-a - 7) / 2 + bend, 7.0, 1.0), ((7 - a) / 2 - bend, -7.0, -1.0)
    for goal, (valley, centre, sign) in enumerate(sides):
        off = np.abs(valley) >= 5e-6
        hill = np.log(np.where(off, np.abs(valley), 5e-6)) + 6
        steep = np.where(off, 1.0 / np.where(off, valley, 1.0), 0.0)
        bowl = ((a - centre) ** 2 + (b + 8) ** 2 / 10) / 10 - 20
        losses[:, goal] = hill * above + bowl * below
        gradients[:, goal, 0] = -steep / 2 * above + (a - centre) / 5 * below
        gradients[:, goal, 1] = sign * (1 - bend**2) * steep * above + hill * rise
        gradients[:, goal, 1] += (b + 8) / 50 * below + bowl * fall
    return losses * SCALES, gradients * SCALES[:, None]


def run(chosen, steps=STEPS, *, lift=False):
    """Where Adam ends from the five starts; one that rests on the front is left there."""
    ends, seen = np.array(STARTS), np.array(STARTS)
    mean, square = np.zeros_like(ends), np.zeros_like(ends)
    states = [chosen.start(2) for _ in ends]
    going = np.arange(len(ends))
    generator = torch.Generator().manual_seed(0)
    for step in range(1, steps + 1):
        losses, gradients = crossing(ends[going])
        directions = np.empty_like(losses)
        for row, start in enumerate(going):
            high = losses[row] - SCALES * LOWEST if lift else losses[row]
            known = _given(high, gradients[row], generator)
            weights, states[start] = chosen.weights(known, states[start])
            directions[row] = weights.numpy() @ gradients[row] / 2
        mean[going] += 0.1 * (directions - mean[going])
        square[going] += 0.001 * (directions**2 - square[going])
        length = np.sqrt(square[going] / (1 - 0.999**step)) + 1e-8
        ends[going] -= RATE * mean[going] / (1 - 0.9**step) / length
        if step % WATCH == 0:
            # Off the front a start may linger for thousands of steps, and go on.
            rests = arrived(ends) & (np.abs(ends - seen).max(1) < STILL)
            going, seen = np.flatnonzero(~rests), ends.copy()
        if not len(going):
            break
    return ends


def _given(losses, gradients, generator):
    norms = np.sqrt((gradients**2).sum(1))
    cosine = np.clip(gradients[0] @ gradients[1] / norms.prod(), -1.0, 1.0)
    cosines = np.array([[1.0, cosine], [cosine, 1.0]])
    ones = torch.ones(2, dtype=torch.float64)
    return RuleInputs(*map(torch.from_numpy, (losses, norms, cosines)), ones, generator)


def arrived(ends):
    """Which are on the front."""
    return (np.abs(ends[:, 1] + 8.3552) < 0.1) & (np.abs(ends[:, 0]) <= 7.1)


if __name__ == "__main__":
    name = sys.argv[1]
    special = {"attentive": Magnitude(1.0, decay=0.0), "famo": Famo(decay=0.0)}
    torch.set_num_threads(1)
    print(json.dumps(run(special.get(name) or rule(name), lift=name == "famo").tolist()))
