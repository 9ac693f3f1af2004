"""BFGS: the inverse Hessian, learnt from how the gradient changes along the way."""

import numpy as np
from jaxtyping import Float64
from scipy.linalg import get_blas_funcs

from counterpoint.train.full_batch.lines import search
from counterpoint.train.full_batch.objective import Objective, Point
from counterpoint.train.full_batch.outcome import Ending
from counterpoint.train.full_batch.watch import Watch

__all__ = ["bfgs"]

_SYMV, _SYR2 = get_blas_funcs(("symv", "syr2"), dtype=np.float64)

_FLAT = 0.9
_CURVED = 1e-12  # y's over |y| |s| below which a step says nothing about the curvature


def bfgs(objective: Objective, watch: Watch, start: Point, rate: float) -> Ending:
    r"""Step :math:`-B g`, then correct B so that :math:`B y = s` for the change s and y of w and g.

    .. math:: B \leftarrow \left( I - \frac{s y^\top}{y^\top s} \right) B
        \left( I - \frac{y s^\top}{y^\top s} \right) + \frac{s s^\top}{y^\top s}

    (Nocedal & Wright 2006, algorithm 6.1, with the first matrix scaled by their equation 6.20.)
    Written as a correction of rank two it costs P² operations, where scipy multiplies matrices of
    P x P: a hundred times faster at some thousand weights.
    """
    del rate
    here, before = start, start.score + float(np.linalg.norm(start.gradient)) / 2
    inverse: Float64[np.ndarray, "total total"] | None = None
    while True:
        direction = -here.gradient if inverse is None else -_times(inverse, here.gradient)
        there = search(objective, here, direction, before=before, flat=_FLAT)
        if there is None and inverse is not None:  # once more without what was learnt
            inverse, before = None, here.score + float(np.linalg.norm(here.gradient)) / 2
            continue
        if there is None:
            return Ending.NO_DECREASE
        inverse = _corrected(inverse, there.where - here.where, there.gradient - here.gradient)
        before = here.score if inverse is None else None
        here = there
        watch(here.where)


def _times(
    inverse: Float64[np.ndarray, "total total"], vector: Float64[np.ndarray, " total"]
) -> Float64[np.ndarray, " total"]:
    return _SYMV(1.0, inverse, vector, lower=1)


def _corrected(
    inverse: Float64[np.ndarray, "total total"] | None,
    step: Float64[np.ndarray, " total"],
    change: Float64[np.ndarray, " total"],
) -> Float64[np.ndarray, "total total"] | None:
    """The matrix after a step; only its lower triangle is kept up, and in the same memory."""
    along = float(step @ change)
    if along <= _CURVED * float(np.linalg.norm(step) * np.linalg.norm(change)):
        return inverse
    if inverse is None:
        inverse = np.asfortranarray(np.eye(len(step)) * (along / float(change @ change)))
    moved = _times(inverse, change)
    mixed = (1 + float(change @ moved) / along) / (2 * along) * step - moved / along
    return _SYR2(1.0, mixed, step, lower=1, a=inverse, overwrite_a=1)
