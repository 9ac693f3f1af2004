"""Gradients at the values through which all goals reach what they share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from counterpoint.balance._gram import Gram
from counterpoint.balance._graph import Form, Graph, Trace, trace
from counterpoint.balance.sources._buffers import Buffers, recomputes
from counterpoint.balance.sources._direct import add, hooked, plain
from counterpoint.balance.sources._source import Measured, StepContext, Unfit, once_only
from counterpoint.errors import InputError


class Features:
    """G_kl = <dL_k/dz, dL_l/dz> with z the shared representation.

    One short backward pass a goal, down to z only. For a trunk with Jacobian J_z the gradients of
    its weights are ``J_z' dL_k/dz``, so what is measured there bounds what is measured at the
    weights, and costs almost nothing. Over ranks the matrices add, since features of different
    examples are disjoint: exact for the mean of the ranks' losses.

    z is what was passed (`StepContext.features`); else it is found in the graph: the values through
    which every goal reaches the part of the graph that all goals have in common. Where that is one
    value, and no hook waits for a backward pass, the heads are differentiated once only: their
    gradients are weighted as they are, and one backward pass of ``sum_k w_k dL_k/dz`` follows
    through the trunk.

    Source: Sener and Koltun, Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018,
    equation 5: MGDA's upper bound.
    """

    def __init__(self, why: str = "") -> None:
        self._why = why
        self._way: _Way | None = None

    @property
    def text(self) -> str:
        """Where it measures."""
        return f"features{self._why}"

    def measure(self, context: StepContext) -> Measured:
        """See `GramSource`.

        Raises:
            InputError: no goal depends on the features that were passed; or none were passed and
                the goals meet in weights only.
        """
        before = [value.grad if value.retains_grad else None for value in context.features]
        way, nodes = self._follow(context)
        places: Sequence[Tensor | GradientEdge] = context.features or way.edges(nodes)
        buffers = Buffers(context.model if way.again else None)
        heads = _Heads.of(way, nodes, buffers) if way.single(nodes, context.features) else None
        if heads is not None and not plain(context, heads.leaves):
            heads = None
        found = _collected(context, places, heads, buffers)
        for value, kept in zip(context.features, before, strict=True):
            if value.retains_grad:
                value.grad = kept  # these short passes are none of the caller's business
        if not found.columns:
            raise InputError(
                "features: no goal depends on them; pass the tensor that the heads were given"
            )
        # <a, b> of complex gradients is that of their real and imaginary parts
        real = [torch.view_as_real(c) if c.is_complex() else c for c in found.columns]
        flat = [column.reshape(len(column), -1) for column in real]
        gram = Gram.of(flat[0] if len(flat) == 1 else torch.cat(flat, 1))
        if context.ranks.count > 1:
            # features of other ranks' examples are other coordinates, so the matrices add; the
            # gradient is of the mean over n ranks, hence 1 / n^2, and `mean` has divided once
            gram = Gram.from_matrix(context.ranks.mean(gram.matrix) / context.ranks.count)
        unseen = tuple(
            name for name, seen in zip(context.names, found.seen, strict=True) if not seen
        )
        if heads is None:
            return Measured(context.unscaled(gram), unseen=unseen)
        heads.take(found.leaves, found.columns[0], places[0])
        return Measured(context.unscaled(gram), assemble=heads.assemble, unseen=unseen)

    def _follow(self, context: StepContext) -> tuple["_Way", list[Node]]:
        found = trace(context.losses)
        # reading a graph costs more than a short pass: as long as its form stays, it is read once
        if self._way is None or self._way.form != found.form:
            self._way = _Way.through(found, len(context.losses))
        if not self._way.outputs and not context.features:
            raise Unfit(
                "features: the goals meet in weights, not in a value that was computed from them;"
                " pass features=, or use gram='parameters'"
            )
        return self._way, found.at(self._way.places)


@dataclass(frozen=True)
class _Way:
    """Where the goals meet, and the leaves above."""

    form: Form
    places: tuple[int, ...]  # in the trace: of meeting nodes, then of leaves that not all reach
    outputs: tuple[int, ...]  # of each meeting node; empty where goals meet in weights
    own: tuple[tuple[int, ...], ...]  # for every goal which of those leaves it reaches
    hooked: bool  # whether something changes a gradient that arrives where they meet
    again: bool  # whether a backward pass may run parts of the model again

    @classmethod
    def through(cls, found: Trace, goals: int) -> "_Way":
        graph = Graph(found, goals)
        meeting = graph.meeting() or []
        own = [node for node in graph.leaves() if graph.reach[node] != graph.everyone]
        nodes = [*(edge.node for edge in meeting), *own]
        reached = (
            tuple(place for place, node in enumerate(own) if graph.reach[node] >> goal & 1)
            for goal in range(goals)
        )
        return cls(
            found.form,
            tuple(graph.place[node] for node in nodes),
            tuple(edge.output_nr for edge in meeting),
            tuple(reached),
            any(hooked(edge) for edge in meeting),
            recomputes(graph.nodes),
        )

    def edges(self, nodes: Sequence[Node]) -> list[GradientEdge]:
        pairs = zip(nodes[: len(self.outputs)], self.outputs, strict=True)
        return [GradientEdge(node, output) for node, output in pairs]

    def single(self, nodes: Sequence[Node], features: Sequence[Tensor]) -> bool:
        """Whether the goals meet in one value, and it is the one that was passed, if one was."""
        # of two values, what arrives at the lower one may have come through the upper one already;
        # where a hook changes what arrives, a second arrival would change it again
        if len(self.outputs) != 1 or self.hooked:
            return False
        return not features or (
            len(features) == 1
            and features[0].grad_fn is nodes[0]
            and features[0].output_nr == self.outputs[0]
        )


@dataclass
class _Heads:
    """The weights above the meeting point, differentiated once."""

    leaves: Sequence[Tensor]
    own: Sequence[Sequence[int]]  # for every goal the places of the leaves that it reaches
    buffers: Buffers
    rows: list[dict[int, Tensor]] = field(default_factory=list[dict[int, Tensor]])
    arrived: Tensor | None = None
    meeting: Any = None

    @classmethod
    def of(cls, way: _Way, nodes: Sequence[Node], buffers: Buffers) -> "_Heads":
        own = nodes[len(way.outputs) :]
        return cls([getattr(node, "variable") for node in own], way.own, buffers)  # noqa: B009

    def below(self, goal: int) -> list[Tensor]:
        """The leaves that a goal reaches."""
        return [self.leaves[place] for place in self.own[goal]]

    def take(self, found: Sequence[Sequence[Tensor | None]], arrived: Tensor, meeting: Any) -> None:
        """Keep the gradients of the leaves, what arrived at the meeting point, and that point."""
        for goal, row in enumerate(found):
            pairs = zip(self.own[goal], row, strict=True)
            self.rows.append({place: value for place, value in pairs if value is not None})
        self.arrived, self.meeting = arrived, meeting

    def assemble(self, weights: Tensor, kept: Sequence[int]) -> None:
        """Weigh the heads' gradients, and go on through the trunk."""
        if self.arrived is None:
            return
        self.buffers.settle()  # the heads are not gone through again; the trunk is, below
        arrived, shares = self.arrived, weights / len(kept)
        each = shares.float().unbind() if arrived.dtype != torch.float64 else shares.unbind()
        with torch.no_grad():
            for place, leaf in enumerate(self.leaves):
                pairs = [(self.rows[k], each[k]) for k in kept if place in self.rows[k]]
                add(leaf, [row[place] * share for row, share in pairs])
            if len(kept) < len(each):
                arrived, shares = arrived[list(kept)], shares[list(kept)]
            # in float32 at least: a weight of 1e-8 is nothing in float16
            wide = torch.promote_types(arrived.dtype, torch.float32)
            mixed = shares.to(wide) @ arrived.reshape(len(kept), -1).to(wide)
            mixed = mixed.view(self.arrived.shape[1:]).to(arrived.dtype)
        torch.autograd.backward(self.meeting, mixed)


def _gradients(
    loss: Tensor, places: Sequence[Tensor | GradientEdge], leaves: Sequence[Tensor]
) -> list[Tensor | None]:
    differentiate: Any = torch.autograd.grad  # its annotations do not know mixed sequences
    asked = [*places, *leaves]
    return list(differentiate(loss, asked, retain_graph=True, allow_unused=True))


@dataclass(frozen=True)
class _Collected:
    """Gradients of all goals."""

    columns: list[Tensor]  # for every place reached, (K, ...); zeros where a goal does not reach
    leaves: list[list[Tensor | None]]  # for every goal those of its own leaves
    seen: list[bool]  # for every goal whether it reaches any place


def _collected(
    context: StepContext,
    places: Sequence[Tensor | GradientEdge],
    heads: _Heads | None,
    buffers: Buffers,
) -> _Collected:
    """One short backward pass a goal; each row is let go once it is in its column."""
    columns: dict[int, Tensor] = {}
    leaves: list[list[Tensor | None]] = []
    seen: list[bool] = []
    for goal, loss in enumerate(context.scaled):
        try:
            with buffers.passing():
                row = _gradients(loss, places, heads.below(goal) if heads else ())
        except RuntimeError as error:
            raise once_only(error) from error
        reached = [
            (place, part) for place, part in enumerate(row[: len(places)]) if part is not None
        ]
        for place, part in reached:
            if place not in columns:
                columns[place] = part.new_zeros((len(context.losses), *part.shape))
            columns[place][goal] = part
        leaves.append(row[len(places) :])
        seen.append(bool(reached))
    return _Collected([columns[place] for place in sorted(columns)], leaves, seen)
