"""All columns of a table: what the network is given, in which order, and the same at rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from counterpoint.errors import InputError, nearest
from counterpoint.plain import from_plain, to_plain
from counterpoint.table.columns._column import Column, UsableColumn
from counterpoint.table.columns._encoded import EmbeddingSpec
from counterpoint.table.columns._kinds import KINDS, Kinds, find_kind
from counterpoint.table.targets._head import Head

_FORMERLY = {"features": [], "levels": [], "form": "", "gaps": False, "width": 0}
"""What every column of a model folder once had, also where its kind has no use for it."""


@dataclass(frozen=True)
class Schema:
    """All columns of the table that a model was fitted on, in the table's order."""

    columns: tuple[Column, ...]

    @property
    def inputs(self) -> tuple[UsableColumn, ...]:
        """Every column that a prediction needs."""
        return self._used("input")

    @property
    def targets(self) -> tuple[UsableColumn, ...]:
        """The columns to predict."""
        return self._used("target")

    def _used(self, role: str) -> tuple[UsableColumn, ...]:
        return tuple(c for c in self.columns if c.role == role and isinstance(c, UsableColumn))

    @property
    def embeddings(self) -> list[tuple[str, EmbeddingSpec]]:
        """The network's embeddings, each with the name of its column."""
        return [(column.name, spec) for column in self.inputs for spec in column.embeddings]

    @property
    def cardinalities(self) -> list[int]:
        """Number of codes of each embedding."""
        return [len(spec.labels) for _, spec in self.embeddings]

    @property
    def widths(self) -> list[int]:
        """Width of each embedding."""
        return [spec.width for _, spec in self.embeddings]

    @property
    def hidden(self) -> list[float]:
        """Share of the rows that training shows without each embedding."""
        return [spec.hidden for _, spec in self.embeddings]

    @property
    def edges(self) -> list[tuple[float, ...]]:
        """Bin edges of each of the network's numbers; indicators of missing values have none."""
        values = [edges for column in self.inputs for edges in column.edges]
        return values + [() for column in self.inputs if column.indicated]

    @property
    def slots(self) -> list[tuple[str, dict[str, list[int]]]]:
        """For each input, those with an embedding first: its places in the network's tensors."""
        slots = list[tuple[str, dict[str, list[int]]]]()
        codes, numbers = 0, 0
        indicator = sum(len(column.edges) for column in self.inputs)
        for column in self.inputs:
            coded, numbered = len(column.embeddings), len(column.edges)
            places = {
                "categories": list(range(codes, codes + coded)),
                "numbers": list(range(numbers, numbers + numbered)),
            }
            codes, numbers = codes + coded, numbers + numbered
            if column.indicated:
                places["numbers"].append(indicator)
                indicator += 1
            slots.append((column.name, {part: own for part, own in places.items() if own}))
        return sorted(slots, key=lambda slot: "categories" not in slot[1])

    @property
    def heads(self) -> dict[str, Head]:
        """What each target asks of the network, by its name."""
        return {column.name: column.head for column in self.targets}

    @property
    def weight(self) -> Column | None:
        """The column that says how much a row counts."""
        return next((c for c in self.columns if c.role == "weight"), None)

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
        """The columns as plain values, each with its kind."""
        return [{"kind": column.kind, **to_plain(column)} for column in self.columns]

    @classmethod
    def from_json(cls, value: Sequence[Mapping[str, Any]], kinds: Kinds = KINDS) -> "Schema":
        """Rebuild what `to_json` gave, or an earlier version of it.

        Args:
            value: the columns.
            kinds: those that the table was fitted with.

        Raises:
            InputError: a part is missing, unknown or of another type (also `KeyError`,
                `TypeError`).
        """
        return cls(tuple(_column(item, kinds) for item in value))


def _column(item: Mapping[str, Any], kinds: Kinds) -> Column:
    kind = find_kind(item["kind"], kinds)
    own = {part.name for part in fields(kind)}
    parts = {
        name: value
        for name, value in item.items()
        if name != "kind" and (name in own or value != _FORMERLY.get(name))
    }
    column = from_plain(kind, parts, f"column {item.get('name')!r:.60}")
    if column.role in ("input", "target"):
        fits = isinstance(column, UsableColumn) and (column.edges or column.embeddings)
        if not fits:
            raise InputError(f"column {column.name!r}: it gives the network nothing")
    return column
