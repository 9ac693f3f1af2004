"""Everything that one fit, and the updates after it, found out."""

from dataclasses import dataclass, field

from counterpoint.findings._columns import ColumnFindings, EmbeddingMap, Importance
from counterpoint.findings._ignorance import IgnoranceMap, KnownLeast
from counterpoint.findings._sites import SiteFindings
from counterpoint.findings._targets import TargetFindings
from counterpoint.findings._training import BalanceFindings, EpochRow
from counterpoint.findings._updates import UpdateFindings

# They stand here, beneath the room that writes the folder: a report is drawn without that room.
MODEL_KIND = "table model"
"""The kind of folder in which findings are kept, beside the fitted model."""

MODEL_SCHEMA = 3
"""The layout of that folder; one of another version is refused."""

ENSEMBLE_KIND = "merged table models"
"""The kind of folder that holds the models of several sites side by side."""

ENSEMBLE_SCHEMA = 1
"""The layout of a folder of several sites."""


@dataclass(frozen=True)
class Findings:
    """Everything one fit found out; see the parts.

    Attributes:
        name: of the table.
        created: when, ISO 8601.
        version: of counterpoint.
        command: that was given; empty from Python.
        rows: by use: "train", "test", "total".
        parameters: of one network.
        status: how the training ended, a sentence.
        best_epoch: whose weights were kept; the middle one of several networks.
        seconds: that the fit took.
        columns: in the table's order.
        history: epoch by epoch, of the first network.
        targets: one a column to predict.
        importance: columns by target.
        embeddings: one a column of categories.
        known_least: one a target.
        notes: remarks for the reader, sentences.
        balance: how several targets shared the steps; None for one target, or a plain sum.
        uncertainty: the kind, as in `counterpoint.recipe.Posterior`.
        maps: where little is known, one a target.
        updates: the oldest first.
        sites: of a mixture, whose own rows nobody has; none of a fit.
    """

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
    # What is below came later; the defaults read folders that were written before.
    balance: BalanceFindings | None = None
    uncertainty: str = "last-layer"
    maps: list[IgnoranceMap] = field(default_factory=list[IgnoranceMap])
    updates: list[UpdateFindings] = field(default_factory=list[UpdateFindings])
    sites: list[SiteFindings] = field(default_factory=list[SiteFindings])
