"""How far rows are from the nearest ones that were learnt from: a score of ignorance by itself."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler


def neighbour_distance(
    known: NDArray[np.floating],
    points: NDArray[np.floating] | None = None,
    *,
    neighbours: int,
    standardise: bool,
) -> NDArray[np.float64]:
    """The mean Euclidean distance from each point to the nearest of the known ones.

    Args:
        known: (rows, columns).
        points: (points, columns); none means the known ones themselves, each without itself.
        neighbours: how many of the nearest to average over; fewer than `known` has rows.
        standardise: whether each column is first divided by its standard deviation among `known`,
            so that units do not matter; not for columns whose sizes mean something (embeddings).

    Returns:
        (points,).

    >>> line = np.array([[0.0], [1.0], [3.0]])
    >>> neighbour_distance(line, neighbours=1, standardise=False)
    array([1., 1., 2.])
    >>> neighbour_distance(line, np.array([[5.0]]), neighbours=2, standardise=False)  # 2 and 4
    array([3.])
    """
    if standardise:
        scaler: Any = StandardScaler().fit(known)
        known = scaler.transform(known)
        points = None if points is None else scaler.transform(points)
    index: Any = NearestNeighbors(n_neighbors=neighbours).fit(known)
    distances, _ = index.kneighbors(points)
    return np.asarray(distances, dtype=np.float64).mean(1)
