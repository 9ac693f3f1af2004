"""What a fit and its updates found out, as plain values: a report draws them, `--json` prints them.

`Findings` is all of it: the columns of the table, the training, the held-out predictions of every
target, what matters, where little is known, and one `UpdateFindings` an update. The table room
fills these in; `counterpoint.report` draws them; at rest they are the document `evaluation.json`
of a model folder. Nothing here computes, and nothing here needs torch.

Numbers are in the units of the table, never standardised. Lists are bounded in length by whoever
fills them. What could not be computed is None, never NaN, so that the JSON is valid everywhere.

>>> from counterpoint.plain import from_plain, to_plain
>>> row = EpochRow(1, rate=0.01, seconds=0.5, train={"price": 0.25})
>>> to_plain(row)["train"], from_plain(EpochRow, to_plain(row)) == row
({'price': 0.25}, True)
"""

from counterpoint.findings._columns import Bins, ColumnFindings, EmbeddingMap, Importance
from counterpoint.findings._findings import (
    ENSEMBLE_KIND,
    ENSEMBLE_SCHEMA,
    MODEL_KIND,
    MODEL_SCHEMA,
    Findings,
)
from counterpoint.findings._ignorance import IgnoranceMap, KnownLeast
from counterpoint.findings._ratings import (
    RATINGS_KIND,
    RATINGS_SCHEMA,
    Effect,
    RatedPart,
    RatingsFindings,
    RatingsUpdate,
)
from counterpoint.findings._sites import SiteFindings
from counterpoint.findings._targets import (
    Coverage,
    CoveredPart,
    GroupCoverage,
    HeldOut,
    IntervalVerdict,
    Judgement,
    ReliabilityCurve,
    TargetFindings,
)
from counterpoint.findings._training import AlarmFindings, BalanceFindings, EpochRow
from counterpoint.findings._updates import ShiftFindings, UpdatedTarget, UpdateFindings

__all__ = [
    "ENSEMBLE_KIND",
    "ENSEMBLE_SCHEMA",
    "MODEL_KIND",
    "MODEL_SCHEMA",
    "RATINGS_KIND",
    "RATINGS_SCHEMA",
    "AlarmFindings",
    "BalanceFindings",
    "Bins",
    "ColumnFindings",
    "Coverage",
    "CoveredPart",
    "Effect",
    "EmbeddingMap",
    "EpochRow",
    "Findings",
    "GroupCoverage",
    "HeldOut",
    "IgnoranceMap",
    "Importance",
    "IntervalVerdict",
    "Judgement",
    "KnownLeast",
    "RatedPart",
    "RatingsFindings",
    "RatingsUpdate",
    "ReliabilityCurve",
    "ShiftFindings",
    "SiteFindings",
    "TargetFindings",
    "UpdateFindings",
    "UpdatedTarget",
]
