"""Programs: the few small optimisation problems that rules of balancing come down to.

In goes the matrix C of the cosines between K gradients (unit diagonal, K up to some 64), so that
no answer depends on the size of a gradient; out come NumPy arrays, float64. Nothing here raises:
a singular C is an ordinary case, and each function says what it answers then.

`nonnegative` minimises ``x' C x / 2 - b' x`` over ``x >= 0`` by an active set, exactly and in
finitely many steps; where that has no minimum it gives the ray along which it falls for ever,
which is how one learns that 0 is a convex combination of the gradients. `projections` solves the
K such problems of UPGrad at once; `farthest` the one of CAGrad; `fair` solves ``C u = b / u^r``.

>>> import numpy as np
>>> opposed = np.array([[1.0, -1.0], [-1.0, 1.0]])
>>> nonnegative(opposed, np.ones(2)).ray  # half of each is the zero vector
array([0.5, 0.5])
>>> nonnegative(np.eye(2), np.array([2.0, -1.0])).x
array([2., 0.])
"""

from counterpoint.balance.program._exchange import exchange
from counterpoint.balance.program._fair import fair
from counterpoint.balance.program._farthest import farthest
from counterpoint.balance.program._matrices import FLAT, Array, Mask, semidefinite, solved
from counterpoint.balance.program._nonnegative import Answer, nonnegative
from counterpoint.balance.program._projections import projections

__all__ = [
    "FLAT",
    "Answer",
    "Array",
    "Mask",
    "exchange",
    "fair",
    "farthest",
    "nonnegative",
    "projections",
    "semidefinite",
    "solved",
]
