"""What each site of a mixture brought."""

from dataclasses import dataclass, field

from counterpoint.findings._targets import TargetFindings


@dataclass(frozen=True)
class SiteFindings:
    """One site of a mixture: its rows, their share, how good it was on rows of its own.

    `targets` have the measures on the rows that the site held out when it fitted, which no other
    model has seen; `alone` the levels and classes that no other site knows, by column.
    """

    name: str
    rows: int
    share: float
    targets: list[TargetFindings]
    updates: int = 0
    alone: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
