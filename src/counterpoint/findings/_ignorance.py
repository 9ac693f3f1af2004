"""Where the model knows least: single rows, and maps over the inputs."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class KnownLeast:
    """The held-out rows of which the model knows least: knowledge (sd, or its share), values."""

    target: str
    row: list[int]
    knowledge: list[float]
    prediction: list[str]
    actual: list[str]
    # as the table wrote them: a date or a category is read as such
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
