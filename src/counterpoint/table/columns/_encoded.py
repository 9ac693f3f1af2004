"""What a column gives the network, and the embeddings that this calls for."""

from dataclasses import dataclass

import numpy as np

MISSING_LEVEL = 0
"""Code of a missing value."""

UNSEEN_LEVEL = 1
"""Code of a value that no training row had, or too few; known ones follow from 2."""

NAMELESS = ("(missing)", "(unseen)")
"""Labels of these two."""


@dataclass(frozen=True)
class EmbeddingSpec:
    """An embedding that a column asks of the network.

    Attributes:
        labels: what each code means.
        width: of a vector.
        hidden: share of the rows that training shows without it; see `counterpoint.nn.Embeddings`.
    """

    labels: tuple[str, ...]
    width: int
    hidden: float = 0.0


@dataclass(frozen=True)
class Encoded:
    """What a column gives the network, all (N,).

    Attributes:
        codes: int64, one an `EmbeddingSpec`.
        numbers: float64, one a tuple of bin edges; NaN where there is no value.
        indicator: 1 where the value is missing; none where training rows had them all.
    """

    codes: tuple[np.ndarray, ...] = ()
    numbers: tuple[np.ndarray, ...] = ()
    indicator: np.ndarray | None = None
