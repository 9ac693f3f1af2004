"""The columns of the table: what each was taken for, how it is spread, which mattered."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bins:
    """How a column's values are spread: counts by bin (numbers) or by label (categories)."""

    counts: list[int]
    # one more than counts
    edges: list[float] | None = None
    labels: list[str] | None = None


@dataclass(frozen=True)
class ColumnFindings:
    """One column of the table: what it was taken for, what it is used for, what is missing."""

    name: str
    kind: str
    role: str
    missing: int
    summary: str
    bins: Bins | None = None


@dataclass(frozen=True)
class Importance:
    """How much a target's held-out loss rises when one column is shuffled: mean and spread."""

    target: str
    column: str
    mean: float
    spread: float


@dataclass(frozen=True)
class EmbeddingMap:
    """The first two principal components of a column's embedding; one point a level."""

    column: str
    labels: list[str]
    x: list[float]
    y: list[float]
    count: list[int]
    explained: list[float]
