"""What a column gives the network, and the embeddings that this calls for."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EmbeddingSpec:
    """An embedding that a column asks of the network.

    Attributes:
        labels: what each code means.
        width: of a vector.
    """

    labels: tuple[str, ...]
    width: int


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
