"""Matrices of cosines as arrays, made semidefinite, and solved with where they are singular."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
"""A vector or matrix, float64."""

Mask: TypeAlias = NDArray[np.bool_]
"""Which entries are meant."""

FLAT = 1e-12
"""An eigenvalue of a matrix of cosines below this is taken for zero."""


def semidefinite(cosines: Array, least: float = 0.0) -> Array:
    """The matrix with its eigenvalues raised to `least`, unchanged where none is below.

    Products that were summed in float32 give cosines that err by 1e-7, so that three parallel
    gradients may come with a negative eigenvalue, and a convex program with no minimum.

    >>> semidefinite(np.array([[1.0, 1.5], [1.5, 1.0]]))
    array([[1., 1.],
           [1., 1.]])
    """
    values, vectors = np.linalg.eigh(cosines)
    if values[0] >= least - 1e-14:
        return cosines
    raised = (vectors * np.maximum(values, least)) @ vectors.T
    scale = 1.0 / np.sqrt(np.maximum(raised.diagonal(), 1e-300))
    # A row of a gradient that is zero has diagonal 0, and stays so.
    scale = np.where(cosines.diagonal() > 0, scale, 1.0)
    return scale[:, None] * raised * scale


def solved(cosines: Array, right: Array) -> Array:
    """``C^+ b``: the shortest of the x that solve ``C x = b`` best.

    >>> solved(np.array([[1.0, 1.0], [1.0, 1.0]]), np.ones(2))
    array([0.5, 0.5])
    """
    values, vectors = np.linalg.eigh(cosines)
    kept = values > FLAT * len(values)
    inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    return vectors @ (inverse * (vectors.T @ right))
