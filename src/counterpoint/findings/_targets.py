"""What was predicted of the held-out rows, and how sure the model was."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows of a number: what was, what was predicted, how sure (standard deviations)."""

    row: list[int]
    actual: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    noise: list[float]
    knowledge: list[float]


@dataclass(frozen=True)
class Coverage:
    """Calibration of intervals: at each nominal level, the share of held-out rows inside."""

    nominal: list[float]
    observed: list[float]
    rows: int


Judgement: TypeAlias = Literal[
    "honest", "narrow", "wide", "misshapen", "lopsided", "uneven", "unknown"
]
"""Of intervals: too narrow, too wide, the one at some levels and not at others, off to one side,
right on the whole but not in parts."""


@dataclass(frozen=True)
class CoveredPart:
    """Rows of like prediction: from where to where, their number and share of all, and inside."""

    low: float
    high: float
    rows: int
    share: float
    observed: float


@dataclass(frozen=True)
class IntervalVerdict:
    """Whether the intervals of a number are honest at all levels, and in each third of predictions.

    `side` is the mean of the predicted probability of less than what was: below a half, predictions
    are too high. "unknown" is the judgement of rows too few to tell, "honest" that of rows enough.
    """

    judgement: Judgement
    rows: int
    side: float
    parts: list[CoveredPart]


@dataclass(frozen=True)
class GroupCoverage:
    """Share of a group's held-out rows inside their intervals; a group is a level of a category."""

    column: str
    level: str
    rows: int
    inside: float


@dataclass(frozen=True)
class ReliabilityCurve:
    """Calibration of probabilities: in each bin, mean confidence, share right, number of rows.

    `error` is the root mean square difference of confidence and share right without what chance
    adds to it (`counterpoint.posterior.calibration.debiased_ece`).
    """

    # None where a bin has no row: zero would be drawn as a claim
    confidence: list[float | None]
    accuracy: list[float | None]
    count: list[int]
    error: float | None


@dataclass(frozen=True)
class TargetFindings:
    """One target: its metrics on the held-out rows, and what is needed to draw its calibration.

    `metrics` maps a plain name ("RMSE", "log likelihood", "accuracy", ...) to its value;
    `baseline` the same names to what the mean (or the commonest class) would have reached.
    """

    name: str
    kind: str
    # by name, not by field: a new measure is no new version of the folder
    metrics: dict[str, float | None]
    baseline: dict[str, float | None] = field(default_factory=dict[str, float | None])
    interval: float = 0.9
    held_out: HeldOut | None = None
    coverage: Coverage | None = None
    # those of 50 held-out rows or more, the farthest below the level that is meant first
    groups: list[GroupCoverage] = field(default_factory=list[GroupCoverage])
    classes: list[str] | None = None
    reliability: ReliabilityCurve | None = None
    confusion: list[list[int]] | None = None
    verdict: IntervalVerdict | None = None
