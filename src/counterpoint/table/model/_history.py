"""Which tables a model has learnt, so that none is learnt twice without being asked to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HistoryEntry:
    """One table.

    Attributes:
        name: of the file.
        sha256: of its content; empty where it was no file.
        rows: learnt from.
        created: when, ISO 8601.
        how: "fit", "update" or "deep update".
    """

    name: str
    sha256: str
    rows: int
    created: str
    how: str
