"""Numbers that repeat: each value that many rows have is a level, too, with a vector of its own.

A capital gain of exactly 7,298 or a week of 40 hours says something that its neighbours do not,
and quantile bins lump them. The vector stands beside the bins and the standardised number, so that
a value without one is still a number.
"""

import numpy as np

from counterpoint.table.columns._encoded import MISSING_LEVEL, UNSEEN_LEVEL
from counterpoint.table.columns._raw import ParsedColumn

_ROWS = 200  # for each value on average; see docs/decisions.md
_SAME = 1e-7  # float32 and a few digits of text move a value by less


def find_repeated(known: np.ndarray, most: int) -> tuple[float, ...]:
    """The values that get a vector each, increasing; none where too many or too few rows repeat.

    Args:
        known: the column's values in the training rows, float64.
        most: distinct values that a column has at most.

    >>> find_repeated(np.repeat([0.0, 7.0, 9.0], [500, 100, 50]), 10)
    (0.0, 7.0, 9.0)
    >>> find_repeated(np.arange(600.0), 10), find_repeated(np.repeat([0.0, 7.0], 500), 10)
    ((), ())
    """
    values, counts = np.unique(known, return_counts=True)
    # of two values the number itself says all
    if not 3 <= len(values) <= most or len(known) < _ROWS * len(values):
        return ()
    # a value seen once trains the vector of those that were not seen
    return tuple(values[counts > 1].tolist())


def find_codes(values: ParsedColumn, repeated: tuple[float, ...]) -> np.ndarray:
    """The code of each row's value, int64 (N,): missing, without a vector, or its place + 2.

    >>> find_codes(ParsedColumn(np.array([7.0, 3.0]), np.array([False, False])), (0.0, 7.0))
    array([3, 1])
    """
    known = np.array(repeated)
    data = np.where(values.missing, known[0], values.data)
    above = np.searchsorted(known, data).clip(1, len(known) - 1)
    # the nearer neighbour: float32 in another file may lie on either side
    nearer = data - known[above - 1] < known[above] - data
    place = np.maximum(above - nearer, 0)
    same = np.abs(data - known[place]) <= _SAME * np.abs(known[place])
    codes = np.where(same, place + 2, UNSEEN_LEVEL)
    return np.where(values.missing, MISSING_LEVEL, codes).astype(np.int64)
