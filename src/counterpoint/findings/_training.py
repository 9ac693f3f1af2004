"""How the training went: its epochs, and how several goals shared the steps."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpochRow:
    """One pass over the training rows: each goal's loss, and `score`, their mean."""

    epoch: int
    rate: float
    seconds: float
    train: dict[str, float | None]
    validation: dict[str, float | None] | None = None


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
