"""A bounded sample of rows, encoded, that stays with a model: to see what an update forgets."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.seeding import generator
from counterpoint.table.columns import Schema
from counterpoint.table.fit._prepare import Prepared, Target
from counterpoint.table.fit._split import RowSplit


@dataclass(frozen=True)
class Exemplars:
    """Rows, and for how many of all rows seen each of them stands.

    Codes of levels and classes never change, so that rows stay valid when columns grow.

    Attributes:
        inputs: ``categories`` and ``numbers``.
        values: one a target, in the order of the schema.
        weights: likewise; 0 where a row has no value.
        stands: (N,), float64.
    """

    inputs: dict[str, Tensor]
    values: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    stands: Tensor

    @classmethod
    def of(
        cls, prepared: Prepared, rows: Tensor, most: int, seed: int, stands: float = 1.0
    ) -> "Exemplars":
        """At most so many of some rows, drawn without preference.

        Args:
            prepared: the table.
            rows: places in it.
            most: at least 1.
            seed: decides which.
            stands: for how many rows that were learnt from each of the given ones stands.
        """
        whole = cls(
            {name: value[rows] for name, value in prepared.inputs.items()},
            tuple(target.values[rows] for target in prepared.targets),
            tuple(target.weight[rows] for target in prepared.targets),
            torch.full((len(rows),), stands, dtype=torch.float64),
        )
        return whole._drawn(most, seed)

    def joined(self, other: "Exemplars", most: int, seed: int, keep: float = 1.0) -> "Exemplars":
        """At most so many of both, each by how many rows it stands for.

        Args:
            other: of the same columns.
            most: at least 1.
            seed: decides which.
            keep: share of these rows that still counts.
        """
        if keep == 0.0:
            return other
        pairs = zip(self.values, other.values, strict=True)
        weights = zip(self.weights, other.weights, strict=True)
        both = Exemplars(
            {name: torch.cat([value, other.inputs[name]]) for name, value in self.inputs.items()},
            tuple(torch.cat(pair) for pair in pairs),
            tuple(torch.cat(pair) for pair in weights),
            torch.cat([keep * self.stands, other.stands]),
        )
        return both._drawn(most, seed)

    def prepared(self, schema: Schema) -> Prepared:
        """The rows as a table, each weighing as many rows as it stands for, one on average.

        Args:
            schema: of the columns as they are now.
        """
        share = self.stands / self.stands.mean()
        parts = zip(schema.targets, self.values, self.weights, strict=True)
        targets = tuple(
            Target(c.name, c.head, values, w * share, c.head.units(values))
            for c, values, w in parts
        )
        return Prepared(schema, as_rows(np.arange(len(self.stands))), self.inputs, targets)

    def tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""
        found = {"stands": self.stands, **self.inputs}
        for place, (values, weight) in enumerate(zip(self.values, self.weights, strict=True)):
            found |= {f"value.{place}": values, f"weight.{place}": weight}
        return found

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], schema: Schema) -> "Exemplars":
        """What `tensors` gave.

        Raises:
            InputError: it does not belong to the columns.
        """
        places = range(len(schema.targets))
        found = cls(
            {name: tensors[name] for name in ("categories", "numbers")},
            tuple(tensors[f"value.{place}"] for place in places),
            tuple(tensors[f"weight.{place}"] for place in places),
            tensors["stands"],
        )
        rows = len(found.stands)
        codes, numbers = found.inputs["categories"], found.inputs["numbers"]
        shapes = [len(schema.cardinalities), len(schema.edges)]
        fits = [codes.shape[1], numbers.shape[1]] == shapes and all(
            len(part) == rows for part in (codes, numbers, *found.values, *found.weights)
        )
        if not fits or not rows or not found._within(schema):
            raise InputError("kept rows: they do not fit the columns")
        return found

    def _within(self, schema: Schema) -> bool:
        """Whether codes and classes are ones that there are, and counts are ones of rows."""
        codes = self.inputs["categories"]
        # what an update would trip over after all its work is refused when the folder is read
        known = (codes >= 0) & (codes < torch.tensor(schema.cardinalities))
        classes = [
            (values >= 0) & c.head.expressible(values, c.head.outputs)
            for c, values in zip(schema.targets, self.values, strict=True)
            if not values.is_floating_point()
        ]
        counted = [self.stands > 0, *(weight >= 0 for weight in self.weights)]
        finite = [part.isfinite() for part in (self.stands, *self.weights, *self.values)]
        numbers = self.inputs["numbers"].isfinite()
        return all(bool(part.all()) for part in (known, numbers, *classes, *counted, *finite))

    def _drawn(self, most: int, seed: int) -> "Exemplars":
        rows = len(self.stands)
        if rows <= most:
            return self
        # systematic, in random order: a row comes in exactly as often as it stands for rows
        draw = generator(seed, rows)
        order = torch.randperm(rows, generator=draw)
        reached = self.stands[order].cumsum(0) * (most / float(self.stands.sum()))
        marks = torch.arange(most) + torch.rand((), generator=draw, dtype=torch.float64)
        chosen = order[torch.searchsorted(reached, marks).clamp_max(rows - 1)].sort().values
        return Exemplars(
            {name: value[chosen] for name, value in self.inputs.items()},
            tuple(value[chosen] for value in self.values),
            tuple(weight[chosen] for weight in self.weights),
            torch.full((most,), float(self.stands.sum()) / most, dtype=torch.float64),
        )


def as_rows(places: np.ndarray) -> RowSplit:
    """All rows to learn from, none left out or held out."""
    return RowSplit(places, (), places[:0])
