"""Which tables a model has learnt, so that none is learnt twice without being asked to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Learnt"]


@dataclass(frozen=True)
class Learnt:
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

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Learnt":
        """Rebuild what `to_json` gave.

        Raises:
            TypeError: a part is missing or of another type.
        """
        texts = {name: value[name] for name in ("name", "sha256", "created", "how")}
        if not (all(isinstance(text, str) for text in texts.values())):
            raise TypeError("history: expected texts")
        return cls(**texts, rows=int(value["rows"]))
