"""Directions that were pulled back to operations, as factored Jacobians by their weights."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from counterpoint.curvature.reading._plan import Plan
from counterpoint.curvature.reading._tape import Record
from counterpoint.curvature.reading.calls._call import Entry
from counterpoint.data import Batch

_NUMBERS = 2**24
"""Most numbers to hold at a time for gradients an example."""


@dataclass(frozen=True)
class Pulled:
    """Directions pulled back to the results of operations; Jacobians come in parts.

    Attributes:
        plan: how weights are read.
        batch: the examples.
        records: uses of weights.
        unread: weights that are taken with the whole model.
        columns: the directions.
        deltas: a use each; none where it does not reach the output.
    """

    plan: Plan
    batch: Batch
    records: Sequence[Record]
    unread: tuple[str, ...]
    columns: Float[Tensor, "columns rows outputs"]
    deltas: Sequence[Tensor | None] = field(repr=False)

    def parts(self, names: Collection[str], *, joint: bool) -> Iterator[tuple[slice, list[Entry]]]:
        """Jacobians by some weights, in parts that together are all rows for all these weights.

        All uses of a weight in a row come in the same part.
        """
        groups = self._groups(set(names))
        unread = [name for name in self.unread if name in names]
        if joint:
            # in the order of the forward pass: sums of floats repeat to the bit
            places = sorted(place for group in groups for place in group)
            yield from self._in_steps(places, unread)
            return
        for places in groups:
            yield from self._in_steps(places, [])
        if unread:
            yield from self._in_steps([], unread)

    def _in_steps(
        self, places: Sequence[int], unread: Sequence[str]
    ) -> Iterator[tuple[slice, list[Entry]]]:
        rows, weights = self.batch.rows, self.plan.weights
        steps = [self.records[place].call.step for place in places]
        if unread:
            size = sum(weights[name].numel() for name in unread) * len(self.columns)
            # gradients an example of these are formed in full; few rows at a time bound them
            steps.append(max(1, _NUMBERS // size))
        step = min([step for step in steps if step is not None], default=rows)
        for start in range(0, rows, step):
            part = slice(start, min(start + step, rows))
            entries = self._entries(places, part) + self._whole(part, unread)
            if entries:
                yield part, entries

    def all(self, rows: slice) -> list[Entry]:
        """Jacobians of some rows by all weights."""
        return self._entries(range(len(self.deltas)), rows) + self._whole(rows, self.unread)

    def parts_of_all(self) -> Iterator[tuple[slice, list[Entry]]]:
        """Jacobians by all weights, some rows at a time, in order."""
        yield from self.parts(self.plan.weights, joint=True)

    def _entries(self, places: Sequence[int], rows: slice) -> list[Entry]:
        entries = list[Entry]()
        for place in places:
            deltas, record = self.deltas[place], self.records[place]
            if deltas is not None:
                entries += record.call.entries(rows, deltas[rows])
        return entries

    def _groups(self, names: set[str]) -> list[list[int]]:
        """Uses of some weights, those that share one together."""
        groups = list[tuple[set[str], list[int]]]()
        for place, record in enumerate(self.records):
            used, places = names.intersection(record.call.names), [place]
            if not used:
                continue
            # uses of one weight add before anything is squared, so they must come together
            for group in [group for group in groups if group[0] & used]:
                used |= group[0]
                places = group[1] + places
                groups.remove(group)
            groups.append((used, sorted(places)))
        return [places for _, places in groups]

    def _whole(self, rows: slice, unread: Sequence[str]) -> list[Entry]:
        if not unread:
            return []
        return list(self.plan.by_whole_model(unread, self.batch.take(rows), self.columns[:, rows]))
