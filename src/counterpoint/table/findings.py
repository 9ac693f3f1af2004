"""What a fit found out, as plain values: the report draws it, `--json` prints it.

Numbers here are in the units of the table (never standardised); lists are bounded in length by
whoever fills them. A value that could not be computed is `None`, never NaN, so that the JSON is
valid everywhere.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "AlarmFindings",
    "BalanceFindings",
    "Bins",
    "ColumnFindings",
    "Coverage",
    "EmbeddingMap",
    "EpochRow",
    "Findings",
    "HeldOut",
    "IgnoranceMap",
    "Importance",
    "KnownLeast",
    "Reliability",
    "ShiftFindings",
    "TargetFindings",
    "UpdateFindings",
    "UpdatedTarget",
]


@dataclass(frozen=True)
class Bins:
    """How a column's values are spread: counts by bin (numbers) or by label (categories)."""

    counts: list[int]
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
class EpochRow:
    """One pass over the training rows: each goal's loss, and `score`, their mean."""

    epoch: int
    rate: float
    seconds: float
    train: dict[str, float | None]
    validation: dict[str, float | None] | None = None


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


@dataclass(frozen=True)
class Reliability:
    """Calibration of probabilities: in each bin, mean confidence, share right, number of rows.

    `error` is the root mean square difference of confidence and share right without what chance
    adds to it (`counterpoint.posterior.calibration.debiased_ece`).
    """

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
    metrics: dict[str, float | None]
    baseline: dict[str, float | None] = field(default_factory=dict[str, float | None])
    interval: float = 0.9
    held_out: HeldOut | None = None
    coverage: Coverage | None = None
    classes: list[str] | None = None
    reliability: Reliability | None = None
    confusion: list[list[int]] | None = None


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


@dataclass(frozen=True)
class KnownLeast:
    """The held-out rows of which the model knows least: knowledge (sd, or its share), values."""

    target: str
    row: list[int]
    knowledge: list[float]
    prediction: list[str]
    actual: list[str]
    values: list[dict[str, str]]


@dataclass(frozen=True)
class IgnoranceMap:
    """Where little is known of a target: missing knowledge over inputs, and far from known rows.

    `knowledge` (sd in the target's unit, or of the predicted class's probability) is a grid with a
    row a value of `y` and a column a value of `x`; without `rows` it is one row, without `columns`
    there is none. Every other input is as in `others`. `point_x` and `point_y` are rows that were
    learnt from. `distance` of some held-out rows is how far the nearest such rows are, in units of
    how far apart those lie, and `missing` the knowledge that lacks there; `near` and `far` are the
    medians of the quarters nearest and farthest, `agreement` the rank correlation.
    """

    target: str
    columns: str | None = None
    rows: str | None = None
    x: list[float] = field(default_factory=list[float])
    y: list[float] = field(default_factory=list[float])
    knowledge: list[list[float]] = field(default_factory=list["list[float]"])
    others: dict[str, str] = field(default_factory=dict[str, str])
    point_x: list[float] = field(default_factory=list[float])
    point_y: list[float] = field(default_factory=list[float])
    distance: list[float] = field(default_factory=list[float])
    missing: list[float] = field(default_factory=list[float])
    near: float | None = None
    far: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class AlarmFindings:
    """What the monitor of the balancer said after a step: of which goals, and what helps."""

    step: int
    kind: str
    goals: list[str]
    sentence: str
    remedy: str


@dataclass(frozen=True)
class BalanceFindings:
    """How several goals shared the steps of the first member: T records, thinned, of K goals.

    `losses`, `weights` (whose plain mean is the step) and `control` (the share of a goal in the
    step, its weighted gradient's norm over the sum of all) have T values a goal; `cosines` are
    matrices (K, K) between the goals' gradients at the steps `cosine_step`.
    """

    rule: str
    source: str
    goals: list[str]
    step: list[int]
    losses: dict[str, list[float | None]]
    weights: dict[str, list[float | None]]
    control: dict[str, list[float | None]]
    cosine_step: list[int] = field(default_factory=list[int])
    cosines: list[list[list[float | None]]] = field(
        default_factory=list["list[list[float | None]]"]
    )
    alarms: list[AlarmFindings] = field(default_factory=list[AlarmFindings])


@dataclass(frozen=True)
class ShiftFindings:
    """How a column's values in an update's rows differ from those of all earlier rows.

    `distance` is the total variation distance between the shares in bins or levels: 0 where they
    are alike, 1 where they have nothing in common. `chance` is the p value of a chi-squared test
    that both come from one distribution, and `moved` says whether it is a shift worth a look: more
    than chance, and not tiny. `before` and `after` are the means of a number in the column's unit,
    or the share of what was the commonest level; `new` are levels that no earlier row had, with
    their rows.
    """

    column: str
    kind: str
    distance: float
    chance: float
    moved: bool
    before: float | None
    after: float | None
    level: str | None = None
    new: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class UpdatedTarget:
    """One target before and after an update.

    `earlier` maps a measure's name to its values before and after on earlier rows, as `source`
    says: "kept rows", "sufficient statistics" (exact, of the rows learnt from, mean of the
    members) or "Gaussian" (an estimate of the loss added, in nats a row). `new` maps measures
    on the update's own rows, each predicted by a model that had not learnt it, likewise. `classes`
    are those that the update brought, with their rows, and `recognised` the share of these rows
    that were given their class.
    """

    name: str
    kind: str
    source: str
    earlier_rows: int
    earlier: dict[str, tuple[float | None, float | None]]
    new_rows: int
    new: dict[str, tuple[float | None, float | None]]
    classes: dict[str, int] = field(default_factory=dict[str, int])
    recognised: float | None = None


@dataclass(frozen=True)
class UpdateFindings:
    """One `counterpoint update`: rows learnt after the fit, what moved, was forgotten and learnt.

    `forget` is the share of what earlier rows say that was forgotten on purpose, `deep` whether
    the trunk was trained, too.
    """

    name: str
    created: str
    rows: int
    earlier_rows: int
    forget: float
    deep: bool
    seconds: float
    shifts: list[ShiftFindings]
    targets: list[UpdatedTarget]
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Findings:
    """Everything one fit found out; see the parts."""

    name: str
    created: str
    version: str
    command: str
    rows: dict[str, int]
    parameters: int
    status: str
    best_epoch: int | None
    seconds: float
    columns: list[ColumnFindings]
    history: list[EpochRow]
    targets: list[TargetFindings]
    importance: list[Importance]
    embeddings: list[EmbeddingMap]
    known_least: list[KnownLeast]
    notes: list[str] = field(default_factory=list[str])
    balance: BalanceFindings | None = None
    uncertainty: str = "last-layer"
    maps: list[IgnoranceMap] = field(default_factory=list[IgnoranceMap])
    updates: list[UpdateFindings] = field(default_factory=list[UpdateFindings])

    def to_json(self) -> dict[str, Any]:
        """The same as nested dicts and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Findings":
        """Rebuild what `to_json` gave.

        Raises:
            TypeError: a key is missing or unknown.
            KeyError: a key is missing.
        """
        parts = dict(value)
        parts["columns"] = [_column(item) for item in value["columns"]]
        parts["history"] = [EpochRow(**item) for item in value["history"]]
        parts["targets"] = [_target(item) for item in value["targets"]]
        parts["importance"] = [Importance(**item) for item in value["importance"]]
        parts["embeddings"] = [EmbeddingMap(**item) for item in value["embeddings"]]
        parts["known_least"] = [KnownLeast(**item) for item in value["known_least"]]
        parts["balance"] = _balance(value["balance"])
        parts["maps"] = [IgnoranceMap(**item) for item in value["maps"]]
        parts["updates"] = [_update(item) for item in value["updates"]]
        return cls(**parts)


def _column(value: Mapping[str, Any]) -> ColumnFindings:
    parts = dict(value)
    parts["bins"] = None if value["bins"] is None else Bins(**value["bins"])
    return ColumnFindings(**parts)


def _balance(value: Mapping[str, Any] | None) -> BalanceFindings | None:
    if value is None:
        return None
    parts = dict(value)
    parts["alarms"] = [AlarmFindings(**item) for item in value["alarms"]]
    return BalanceFindings(**parts)


def _update(value: Mapping[str, Any]) -> UpdateFindings:
    parts = dict(value)
    parts["shifts"] = [ShiftFindings(**item) for item in value["shifts"]]
    parts["targets"] = [_updated(item) for item in value["targets"]]
    return UpdateFindings(**parts)


def _updated(value: Mapping[str, Any]) -> UpdatedTarget:
    parts = dict(value)
    for key in ("earlier", "new"):
        parts[key] = {name: tuple(pair) for name, pair in value[key].items()}
    return UpdatedTarget(**parts)


def _target(value: Mapping[str, Any]) -> TargetFindings:
    kinds = {"held_out": HeldOut, "coverage": Coverage, "reliability": Reliability}
    parts = dict(value)
    for key, kind in kinds.items():
        parts[key] = None if value[key] is None else kind(**value[key])
    return TargetFindings(**parts)
