"""One forward pass that remembers how weights were used, and pulls directions back through it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.curvature._labels import flat
from counterpoint.curvature._sums import wide
from counterpoint.curvature.reading._jacobians import Pulled
from counterpoint.curvature.reading._plan import Plan, differentiable
from counterpoint.curvature.reading._tape import Record, Tape
from counterpoint.data import Batch
from counterpoint.errors import InputError


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

    @classmethod
    def of(cls, plan: Plan, batch: Batch) -> "Forward":
        """A forward pass that remembers how weights were used.

        Raises:
            InputError: outputs that are not finite, or another number of rows than the inputs, or
                an input that is changed in place after it was used.
        """
        read = {name: value for name, value in plan.weights.items() if name not in plan.unread}
        identities = {id(value): name for name, value in read.items()}
        tape = Tape(identities, batch.rows, plan.layouts)
        with differentiable(plan.weights.values()), tape:
            outputs = plan.heads.outputs(batch.call(plan.model))
        for name, value in outputs.items():
            _check_output(name, value, batch)
        for record in tape.records:
            if record.changed():
                raise InputError(
                    f"model: what the operation on {record.call.names[0]!r} was given is changed "
                    "in place later, so that its derivative is lost; copy it first"
                )
        unread = _closed({*plan.unread, *tape.unread}, tape.records)
        records = [record for record in tape.records if unread.isdisjoint(record.call.names)]
        return cls(plan, batch, outputs, records, tuple(n for n in plan.weights if n in unread))

    @property
    def output(self) -> Float[Tensor, "rows outputs"]:
        """All heads side by side, detached."""
        return flat(self.detached())

    def detached(self) -> dict[str, Tensor]:
        """The outputs without their graph."""
        return {name: value.detach() for name, value in self.outputs.items()}

    def pull(
        self, columns: Float[Tensor, "columns rows outputs"], pooled: Collection[str] = ()
    ) -> Pulled:
        """Derivatives of each direction by the results of all recorded operations.

        The pass goes through activations only: no gradient of a weight is formed.

        Args:
            columns: the directions.
            pooled: weights of which only sums of squares over directions will be asked. Where one
                is used once and without sharing, the root of the sum stands for all directions.
        """
        if not self.records:
            return self._pulled(columns, [])
        # joined with a graph, whatever the caller switched off: this is what is differentiated
        with torch.enable_grad():
            output = flat(self.outputs)
        columns = columns.to(output)
        shared = any(record.call.positions > 1 for record in self.records)
        # Σ_k (d_k a')² = (Σ_k d_k²) a²': one pass stands for all where only squares are asked
        single = self._single(set(pooled)) if len(columns) > 1 else set[int]()
        found = None
        if len(columns) > 1 and not shared and not single:
            found = self._at_once(output, columns)
        if found is None:
            found = self._one_by_one(output, columns, single)
        return self._pulled(columns, [self._rows_first(at, d) for at, d in enumerate(found)])

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
        # sums of squares in half precision overflow; what is added up is float32 or better
        return deltas.to(wide(deltas.dtype)).movedim(self.records[place].call.axis + 1, 0)

    def _pulled(self, columns: Tensor, deltas: Sequence[Tensor | None]) -> Pulled:
        return Pulled(self.plan, self.batch, self.records, self.unread, columns, deltas)


def _closed(unread: set[str], records: Sequence[Record]) -> set[str]:
    """The weights taken with the whole model, and all that operations use beside them."""
    found = set(unread)
    # at most one round a record: each round adds a name or is the last
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
