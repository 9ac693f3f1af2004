"""Pull directions at a model's output back to its weights, as factored Jacobians."""

from collections import Counter
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.curvature.batches import Batch
from counterpoint.curvature.heads import Heads, flat
from counterpoint.curvature.reading.calls.call import Entry, Layout
from counterpoint.curvature.reading.tape import Record, Tape
from counterpoint.curvature.sums import wide
from counterpoint.errors import InputError
from counterpoint.gaussian import FullJacobian

__all__ = ["PULLED", "Forward", "Plan", "Pulled", "differentiable"]

PULLED = 8192
"""Rows times directions to pull back at a time; larger batches are taken in parts."""

_NUMBERS = 2**24
"""Most numbers to hold at a time for gradients an example."""

Whole = Callable[
    [nn.Module, Heads, Mapping[str, Tensor], Batch, Float[Tensor, "columns rows outputs"]],
    list[FullJacobian],
]


@dataclass(frozen=True)
class Plan:
    """How the weights of a model are read, found out once (see `reading.probe`).

    Attributes:
        model: gives one row of output for one row of input.
        heads: what its outputs are.
        weights: name -> weight asked for, in order.
        layouts: names -> where operations on them have the examples.
        unread: names that are taken with the whole model, and
        whole: the function that does it.
        outputs: numbers that a row of output has, all heads together; 0 while not known.
        shared: inputs that all rows share, as the first batch showed.
    """

    model: nn.Module
    heads: Heads
    weights: Mapping[str, Tensor]
    layouts: Mapping[frozenset[str], Layout] | None
    unread: tuple[str, ...]
    whole: Whole
    outputs: int = 0
    shared: frozenset[int | str] = frozenset()

    def forward(self, batch: Batch) -> "Forward":
        """A forward pass that remembers how weights were used.

        Raises:
            InputError: outputs that are not finite, or another number of rows than the inputs, or
                an input that is changed in place after it was used.
        """
        read = {name: value for name, value in self.weights.items() if name not in self.unread}
        identities = {id(value): name for name, value in read.items()}
        tape = Tape(identities, batch.rows, self.layouts)
        with differentiable(self.weights.values()), tape:
            outputs = self.heads.outputs(batch.call(self.model))
        for name, value in outputs.items():
            _check_output(name, value, batch)
        for record in tape.records:
            if record.changed():
                raise InputError(
                    f"model: what the operation on {record.call.names[0]!r} was given is changed "
                    "in place later, so that its derivative is lost; copy it first"
                )
        unread = _closed({*self.unread, *tape.unread}, tape.records)
        records = [record for record in tape.records if unread.isdisjoint(record.call.names)]
        return Forward(self, batch, outputs, records, tuple(n for n in self.weights if n in unread))


@dataclass(frozen=True)
class Forward:
    """One forward pass, ready to be pulled back.

    Attributes:
        plan: how weights are read.
        batch: the examples.
        outputs: of each head, with its graph.
        records: uses of weights.
        unread: weights that are taken with the whole model.
    """

    plan: Plan
    batch: Batch
    outputs: Mapping[str, Tensor]
    records: Sequence[Record]
    unread: tuple[str, ...]

    @property
    def output(self) -> Float[Tensor, "rows outputs"]:
        """All heads side by side, detached."""
        return flat(self.detached())

    def detached(self) -> dict[str, Tensor]:
        """The outputs without their graph."""
        return {name: value.detach() for name, value in self.outputs.items()}

    def pull(
        self, columns: Float[Tensor, "columns rows outputs"], pooled: Collection[str] = ()
    ) -> "Pulled":
        """Derivatives of each direction by the results of all recorded operations.

        The pass goes through activations only: no gradient of a weight is formed.

        Args:
            columns: the directions.
            pooled: weights of which only sums of squares over directions will be asked. Where one
                is used once and without sharing, the root of the sum stands for all directions.
        """
        if not self.records:
            return Pulled(self, columns, [])
        with torch.enable_grad():
            output = flat(self.outputs)
        columns = columns.to(output)
        shared = any(record.call.positions > 1 for record in self.records)
        single = self._single(set(pooled)) if len(columns) > 1 else set[int]()
        found = None
        if len(columns) > 1 and not shared and not single:
            found = self._at_once(output, columns)
        if found is None:
            found = self._one_by_one(output, columns, single)
        return Pulled(self, columns, [self._rows_first(at, one) for at, one in enumerate(found)])

    def _single(self, pooled: set[str]) -> set[int]:
        """Records for which the root of a sum of squares stands for all directions."""
        uses = Counter(name for record in self.records for name in record.call.names)
        return {
            place
            for place, record in enumerate(self.records)
            if record.call.positions == 1
            and all(name in pooled and uses[name] == 1 for name in record.call.names)
        }

    def _at_once(self, output: Tensor, columns: Tensor) -> list[Tensor | None] | None:
        """One vectorised pass: the faster way where nothing is shared, if the model allows it."""
        edges = [record.edge for record in self.records]
        try:
            found: Any = torch.autograd.grad(
                output,
                edges,
                columns,
                is_grads_batched=True,
                allow_unused=True,
                retain_graph=True,
            )
        except RuntimeError:  # an operation without a vectorised derivative
            return None
        return list(found)

    def _one_by_one(self, output: Tensor, columns: Tensor, single: set[int]) -> list[Tensor | None]:
        edges = [record.edge for record in self.records]
        squares, stacks = dict[int, Tensor](), [list[Tensor]() for _ in edges]
        for column in columns:
            found: Any = torch.autograd.grad(
                output, edges, column, allow_unused=True, retain_graph=True
            )
            for place, deltas in enumerate(found):
                if deltas is None:
                    continue
                if place not in single:
                    stacks[place].append(deltas)
                elif place in squares:
                    squares[place].addcmul_(deltas, deltas)
                else:
                    squares[place] = deltas.square()
        return [
            squares[place].sqrt_()[None] if place in squares else _stacked(stack)
            for place, stack in enumerate(stacks)
        ]

    def _rows_first(self, place: int, deltas: Tensor | None) -> Tensor | None:
        """``rows x columns x ...``; the operation's own dimensions in their order."""
        if deltas is None:
            return None
        return deltas.to(wide(deltas.dtype)).movedim(self.records[place].call.axis + 1, 0)


@dataclass(frozen=True)
class Pulled:
    """Directions pulled back to the results of operations; Jacobians come in parts.

    Attributes:
        forward: the pass.
        columns: the directions.
        deltas: a use each; none where it does not reach the output.
    """

    forward: Forward
    columns: Float[Tensor, "columns rows outputs"]
    deltas: Sequence[Tensor | None] = field(repr=False)

    def parts(self, names: Collection[str], *, joint: bool) -> Iterator[tuple[slice, list[Entry]]]:
        """Jacobians by some weights, in parts that together are all rows for all these weights.

        All uses of a weight in a row come in the same part.

        Args:
            names: the weights.
            joint: all of them in one part, for products between them.
        """
        groups = self._groups(set(names))
        unread = [name for name in self.forward.unread if name in names]
        if joint:
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
        rows, weights = self.forward.batch.rows, self.forward.plan.weights
        steps = [self.forward.records[place].call.step for place in places]
        if unread:
            size = sum(weights[name].numel() for name in unread) * len(self.columns)
            steps.append(max(1, _NUMBERS // size))
        step = min([step for step in steps if step is not None], default=rows)
        for start in range(0, rows, step):
            part = slice(start, min(start + step, rows))
            entries = self._entries(places, part) + self._whole(part, unread)
            if entries:
                yield part, entries

    def all(self, rows: slice) -> list[Entry]:
        """Jacobians of some rows by all weights."""
        return self._entries(range(len(self.deltas)), rows) + self._whole(rows, self.forward.unread)

    def parts_of_all(self) -> Iterator[tuple[slice, list[Entry]]]:
        """Jacobians by all weights, some rows at a time, in order."""
        yield from self.parts(self.forward.plan.weights, joint=True)

    def _entries(self, places: Sequence[int], rows: slice) -> list[Entry]:
        entries = list[Entry]()
        for place in places:
            deltas, record = self.deltas[place], self.forward.records[place]
            if deltas is not None:
                entries += record.call.entries(rows, deltas[rows])
        return entries

    def _groups(self, names: set[str]) -> list[list[int]]:
        """Uses of some weights, those that share one together."""
        groups = list[tuple[set[str], list[int]]]()
        for place, record in enumerate(self.forward.records):
            used, places = names.intersection(record.call.names), [place]
            if not used:
                continue
            for group in [group for group in groups if group[0] & used]:
                used |= group[0]
                places = group[1] + places
                groups.remove(group)
            groups.append((used, sorted(places)))
        return [places for _, places in groups]

    def _whole(self, rows: slice, unread: Sequence[str]) -> list[Entry]:
        if not unread:
            return []
        plan, batch = self.forward.plan, self.forward.batch.take(rows)
        weights = {name: plan.weights[name] for name in unread}
        columns = self.columns[:, rows]
        with differentiable(weights.values()):
            found = plan.whole(plan.model, plan.heads, weights, batch, columns)
        return [FullJacobian(one.name, one.values.to(wide(one.values.dtype))) for one in found]


def _closed(unread: set[str], records: Sequence[Record]) -> set[str]:
    """The weights taken with the whole model, and all that operations use beside them."""
    found = set(unread)
    for _ in records:
        more = [record.call.names for record in records if not found.isdisjoint(record.call.names)]
        size = len(found)
        found.update(name for names in more for name in names)
        if len(found) == size:
            break
    return found


def _stacked(parts: Sequence[Tensor]) -> Tensor | None:
    if not parts:
        return None
    return parts[0][None] if len(parts) == 1 else torch.stack(list(parts))


@contextmanager
def differentiable(weights: Iterable[Tensor]) -> Generator[None, None, None]:
    """Weights require gradients inside, whatever the caller switched off, and then as before."""
    frozen = [weight for weight in weights if not weight.requires_grad]
    with torch.inference_mode(False), torch.enable_grad():
        try:
            for weight in frozen:
                weight.requires_grad_()
            yield
        finally:
            for weight in frozen:
                weight.requires_grad_(False)


def _check_output(name: str, output: Tensor, batch: Batch) -> None:
    rows = batch.rows
    where = f"head {name!r}" if name else "model"
    if output.ndim == 0 or output.shape[0] != rows:
        raise InputError(
            f"{where}: expected one row of output for each of {rows} rows of input, "
            f"found shape {tuple(output.shape)}"
        )
    if not bool(torch.isfinite(output).all()):
        row = int((~torch.isfinite(output)).reshape(rows, -1).any(1).nonzero()[0]) + batch.offset
        raise InputError(f"{where}: the output is not finite in row {row}")
