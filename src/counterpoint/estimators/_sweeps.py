"""How many sweeps: as many as predict best what is left out."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch

from counterpoint.estimators._factors import Factorisation, Ratings, learnt, sweeps
from counterpoint.seeding import generator

Tell: TypeAlias = Callable[[str], None]

_LEFT_OUT = 0.1
_FEW = 200
_USUAL = 10
_MOST = 60
_PATIENCE = 3


def fitted(
    ratings: Ratings, width: int, count: int | None, seed: int, tell: Tell | None = None
) -> tuple[Factorisation, list[float], int]:
    """The factors of all ratings, the log density of those left out by sweep, how many sweeps.

    Mean-field factors grow surer than they should with each sweep, as neither side knows how unsure
    it should be of the other: held-out ratings say when to stop, and the evidence does not.

    Args:
        ratings: with mean 0 and variance 1.
        width: of a row.
        count: of sweeps; None: found.
        seed: decides the first items, and what is left out.
        tell: called with a sentence after each sweep.
    """
    history = list[float]()
    if count is None:
        # effects alone are a linear model, in which nothing grows too sure
        found = width > 1 and len(ratings.value) >= _FEW
        history = _left_out(ratings, width, seed, tell) if found else []
        count = 1 + int(np.argmax(history)) if history else _USUAL
    every = sweeps(ratings, width, generator(seed, 1))
    factors = next(every)
    for place in range(1, count):
        if tell is not None:
            tell(f"sweep {place} of {count} over all ratings")
        factors = next(every)
    users, _ = learnt(ratings, factors.users, factors.items, factors.noise)
    return replace(factors, users=users), history, count


def _left_out(ratings: Ratings, width: int, seed: int, tell: Tell | None) -> list[float]:
    order = torch.randperm(len(ratings.value), generator=generator(seed, 2)).numpy()
    out = np.zeros(len(order), dtype=bool)
    out[order[: max(1, round(_LEFT_OUT * len(order)))]] = True
    seen, unseen = ratings.at(~out), ratings.at(out)
    scores = list[float]()
    for factors in islice(sweeps(seen, width, generator(seed, 1)), _MOST):
        mean, variance = factors.predict(unseen.user, unseen.item)
        variance = variance + factors.noise
        density = -(np.log(2 * math.pi * variance) + np.square(unseen.value - mean) / variance) / 2
        scores.append(float(density.mean()))
        if tell is not None:
            tell(f"sweep {len(scores)}: log density of ratings left out {scores[-1]:.4f}")
        if len(scores) - 1 - int(np.argmax(scores)) >= _PATIENCE:
            break
    return scores
