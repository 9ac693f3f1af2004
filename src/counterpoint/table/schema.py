"""What a model remembers of its table: for each column its kind, role, scale, bins and levels."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from counterpoint.errors import InputError, nearest
from counterpoint.nn import embedding_width
from counterpoint.table.kinds import Kind

__all__ = ["MISSING_LEVEL", "UNSEEN_LEVEL", "Column", "Feature", "Role", "Schema"]

Role: TypeAlias = Literal["input", "target", "weight", "split", "ignored"]

MISSING_LEVEL = 0
"""Code of a missing category."""

UNSEEN_LEVEL = 1
"""Code of a category that no training row had (or only one); known levels follow from 2."""


@dataclass(frozen=True)
class Feature:
    """One number made from a column: standardised as ``(x - mean) / scale``.

    Attributes:
        part: "value", or a part of a date such as "year sin".
        mean: of the training rows, in the column's units.
        scale: standard deviation of the training rows; 1 where they do not vary.
        edges: increasing quantiles of the training rows, standardised.
    """

    part: str
    mean: float
    scale: float
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column: what it is taken for, and what was learnt from the training rows.

    Attributes:
        name: as in the table.
        kind: see `counterpoint.table.kinds`.
        role: what the column is used for.
        note: why it has that kind or role, in words.
        features: of a number or date.
        levels: of a category or boolean, sorted, those of updates after them; codes are their
            places + 2.
        gaps: whether training rows miss the value (then it has an indicator of its own).
        form: how a date is written; see `counterpoint.table.dates`.
        width: of the embedding of a category that has grown; 0: by the number of levels.
    """

    name: str
    kind: Kind
    role: Role
    note: str = ""
    features: tuple[Feature, ...] = ()
    levels: tuple[str, ...] = ()
    gaps: bool = False
    form: str = ""
    width: int = 0

    @property
    def categorical(self) -> bool:
        """Whether the column has levels."""
        return self.kind in ("category", "boolean")


@dataclass(frozen=True)
class Schema:
    """All columns of the table that a model was fitted on, in the table's order."""

    columns: tuple[Column, ...]

    @property
    def categories(self) -> tuple[Column, ...]:
        """Inputs with levels, in the order of the network's embeddings."""
        return tuple(c for c in self.columns if c.role == "input" and c.categorical)

    @property
    def numbers(self) -> tuple[Column, ...]:
        """Inputs that are numbers or dates, in the order of the network's numbers."""
        return tuple(c for c in self.columns if c.role == "input" and not c.categorical)

    @property
    def inputs(self) -> tuple[Column, ...]:
        """Every column that a prediction needs."""
        return tuple(c for c in self.columns if c.role == "input")

    @property
    def targets(self) -> tuple[Column, ...]:
        """The columns to predict."""
        return tuple(c for c in self.columns if c.role == "target")

    @property
    def cardinalities(self) -> list[int]:
        """Number of codes of each categorical input, missing and unseen counted."""
        return [len(column.levels) + 2 for column in self.categories]

    @property
    def widths(self) -> list[int]:
        """Width of the embedding of each categorical input."""
        return [c.width or embedding_width(len(c.levels) + 2) for c in self.categories]

    @property
    def weight(self) -> Column | None:
        """The column that says how much a row counts; its scale is the unit of the weights."""
        return next((c for c in self.columns if c.role == "weight"), None)

    @property
    def edges(self) -> list[tuple[float, ...]]:
        """Bin edges of each of the network's numbers; indicators of missing values have none."""
        values = [feature.edges for column in self.numbers for feature in column.features]
        return values + [() for column in self.numbers if column.gaps]

    def column(self, name: str) -> Column:
        """A column by name.

        Raises:
            InputError: there is none (names the nearest).
        """
        for column in self.columns:
            if column.name == name:
                return column
        known = [column.name for column in self.columns]
        raise InputError(f"no column {name!r}{nearest(name, known)}")

    def to_json(self) -> list[dict[str, Any]]:
        """The columns as plain values."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_json(cls, value: list[Mapping[str, Any]]) -> "Schema":
        """Rebuild what `to_json` gave.

        Raises:
            TypeError: a part is missing or of another type (also `KeyError`, `ValueError`).
        """
        return cls(tuple(_column(item) for item in value))


def _column(item: Mapping[str, Any]) -> Column:
    features = tuple(
        Feature(
            _checked(part["part"], str),
            float(part["mean"]),
            float(part["scale"]),
            tuple(float(edge) for edge in part["edges"]),
        )
        for part in item["features"]
    )
    parts: dict[str, Any] = dict(item)
    parts["features"] = features
    parts["levels"] = tuple(_checked(level, str) for level in _checked(item["levels"], list))
    column = Column(**parts)
    for text in (column.name, column.note, column.form):
        _checked(text, str)
    _checked(column.width, int)
    if column.kind not in get_args(Kind) or column.role not in get_args(Role):
        raise TypeError(f"column {column.name!r}: unknown kind or role")
    if column.role in ("input", "target") and not column.categorical and not features:
        raise TypeError(f"column {column.name!r}: a number without a feature")
    return column


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {value!r:.40}")
    return value
