"""The K projections of UPGrad: each gradient onto the cone that conflicts with none."""

import numpy as np

from counterpoint.balance.program._exchange import exchange
from counterpoint.balance.program._matrices import Array
from counterpoint.balance.program._nonnegative import nonnegative


def projections(cosines: Array) -> Array:
    """``Y_k = argmin |u_k + sum_l y_l u_l|`` over ``y >= 0``: row k for the unit gradient u_k.

    By block pivoting, all rows at once; a row that does not settle is given to `nonnegative`.
    Finite for any C, (K, K).

    >>> projections(np.array([[1.0, -0.6], [-0.6, 1.0]]))
    array([[0. , 0.6],
           [0.6, 0. ]])
    """
    result = np.zeros_like(cosines)
    # a gradient that conflicts with none is its own projection
    rows = (cosines.min(1) < 0.0).nonzero()[0]
    if not len(rows):
        return result
    # |u_k + sum_l y_l u_l|^2 / 2 = y' C y / 2 + (row k of C) y + 1/2
    found, settled = exchange(cosines, -cosines[rows])
    result[rows] = found
    for row in rows[~settled]:
        result[row] = nonnegative(cosines, -cosines[row]).x
    return result
