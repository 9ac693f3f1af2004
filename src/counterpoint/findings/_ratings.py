"""What a fit of ratings found out."""

from dataclasses import dataclass, field

from counterpoint.findings._columns import EmbeddingMap

RATINGS_KIND = "recommender"
"""The kind of folder of a model of ratings."""

RATINGS_SCHEMA = 1
"""The layout of that folder; one of another version is refused."""


@dataclass(frozen=True)
class Effect:
    """How far an item or a user lies above the average one, with an interval."""

    name: str
    effect: float
    low: float
    high: float
    ratings: int


@dataclass(frozen=True)
class RatedPart:
    """Held-out ratings of a part: of items that few, or many, have rated."""

    label: str
    ratings: int
    rmse: float
    coverage: float


@dataclass(frozen=True)
class RatingsUpdate:
    """What an update brought: measures on the new ratings before they were learnt, and after."""

    name: str
    created: str
    ratings: int
    new_users: int
    new_items: int
    before: dict[str, float]
    after: dict[str, float]
    sha256: str = ""


@dataclass(frozen=True)
class RatingsFindings:
    """Everything one fit of ratings, and the updates after it, found out.

    Attributes:
        name: of the table.
        created: when, ISO 8601.
        version: of counterpoint.
        command: that was given.
        user, item, target: the columns.
        sha256: of the table.
        rows: by use: "train", "test", "total".
        users, items: how many.
        range: least and greatest rating.
        factors, sweeps: of the model.
        noise: standard deviation, in the unit of the ratings.
        seconds: that the fit took.
        level: nominal coverage of the intervals.
        metrics: on held-out ratings.
        baselines: the same of simpler models, by name.
        parts: by how often the item was rated.
        highest, lowest: items by their effect.
        widest: users by their effect, the highest and the lowest.
        map: of the items that most have rated.
        alike: the items most like each of the most rated: (item, others).
        notes: remarks for the reader, sentences.
        updates: the oldest first.
    """

    name: str
    created: str
    version: str
    command: str
    user: str
    item: str
    target: str
    sha256: str
    rows: dict[str, int]
    users: int
    items: int
    range: tuple[float, float]
    factors: int
    sweeps: int
    noise: float
    seconds: float
    level: float
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    parts: list[RatedPart]
    highest: list[Effect]
    lowest: list[Effect]
    widest: list[Effect]
    map: EmbeddingMap | None
    alike: list[tuple[str, list[str]]]
    notes: list[str] = field(default_factory=list[str])
    updates: list[RatingsUpdate] = field(default_factory=list[RatingsUpdate])
