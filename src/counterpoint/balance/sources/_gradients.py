"""All goals' gradients of all leaves: asked for, multiplied into a Gram matrix, added up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from counterpoint.balance._gram import Gram, products
from counterpoint.balance._ranks import Ranks
from counterpoint.balance.sources._buffers import Buffers
from counterpoint.balance.sources._direct import add
from counterpoint.balance.sources._plan import GradientPlan
from counterpoint.errors import InputError

_Row = dict[int, Tensor]


@dataclass(frozen=True)
class Gradients:
    """What K goals pull at, leaf by leaf."""

    plan: GradientPlan
    leaves: Sequence[Tensor]
    inputs: Sequence[Tensor]  # x of every matrix product, (n, in)
    # for every goal its gradients by place: of leaves, then of the products' outputs, (n, out);
    # a place is absent where the goal does not reach
    rows: Sequence[_Row]
    buffers: Buffers
    _stacked: dict[tuple[int, int], Tensor] = field(default_factory=dict[tuple[int, int], Tensor])

    @classmethod
    def ask(
        cls,
        plan: GradientPlan,
        nodes: Sequence[Node],
        losses: Sequence[Tensor],
        buffers: Buffers,
        *,
        whole: bool,
    ) -> "Gradients":
        """Differentiate the losses; if `whole` by all leaves, and for the last time."""
        first, last = len(plan.reach), len(nodes) - len(plan.meeting)
        uses = nodes[first:last]
        leaves: list[Tensor] = [getattr(node, "variable") for node in nodes[:first]]  # noqa: B009
        asked: dict[int, Tensor | GradientEdge] = {
            place: leaf
            for place, leaf in enumerate(leaves)
            if plan.uses[place] is None and (whole or plan.counted[place])
        }
        asked |= {first + place: GradientEdge(node, 0) for place, node in enumerate(uses)}
        meeting = [
            GradientEdge(node, output)
            for node, output in zip(nodes[last:], plan.meeting, strict=True)
        ]
        inputs = [_input(node) for node in uses]  # before the last pass lets go of them
        if meeting:
            rows = _together(plan, losses, asked, meeting, keep=not whole)
        else:
            rows = _apart(plan, losses, asked, buffers, keep=not whole)
        return cls(plan, leaves, inputs, rows, buffers)

    def gram(self, ranks: Ranks, *, shared: bool) -> Gram:
        """G over the leaves that count; if `shared`, those at which two goals pull."""
        places = [place for place, counts in enumerate(self.plan.counted) if counts]
        parts = torch.stack([self._part(place, ranks) for place in places])
        if shared:
            sizes = parts.diagonal(dim1=1, dim2=2)
            # where the graph leads every goal everywhere, gradients say who pulls at a weight
            pulls = sizes != 0  # what is not finite pulls
            pulls = pulls | (~pulls.any(0) & self._reached(places, parts.device))
            parts = parts * (pulls.sum(1) > 1)[:, None, None]
        return Gram.from_matrix(parts.sum(0))

    def _reached(self, places: Sequence[int], device: torch.device) -> Tensor:
        goals = range(len(self.rows))
        bits = [[self.plan.reach[place] >> goal & 1 for goal in goals] for place in places]
        return torch.tensor(bits, dtype=torch.bool, device=device)

    def assemble(self, weights: Tensor, kept: Sequence[int]) -> None:
        """Add ``(1/K) sum_k w_k g_k`` over the kept goals to every leaf's `.grad`."""
        self.buffers.settle()  # no other backward pass follows
        shares = (weights / len(kept)).unbind()
        with torch.no_grad():
            for place, leaf in enumerate(self.leaves):
                add(leaf, self._shared(place, shares, kept))

    def _part(self, place: int, ranks: Ranks) -> Tensor:
        """G of one leaf."""
        use = self.plan.uses[place]
        if use is not None:
            return self._factored(use)
        found = _filled([row.get(place) for row in self.rows], self.leaves[place])
        return products(ranks.mean(torch.stack([_flat(value) for value in found])))

    def _factored(self, use: tuple[int, int]) -> Tensor:
        """G of the weight of matrix products, from their inputs and the gradients of outputs."""
        outputs, inputs = self._outputs(use), _joined(self.inputs[slice(*use)])
        count, goals, wide = outputs.shape
        deep = inputs.shape[1]
        # rows times rows, or K gradients of out x in: whichever is the smaller product
        if count * (deep + goals * wide) < goals * wide * deep:
            among = inputs @ inputs.T

            def product(values: Tensor) -> Tensor:
                mixed = among.to(values) @ values.flatten(1)
                return torch.bmm(values, mixed.view_as(values).mT).sum(0)

            return products(outputs, product, axis=1)
        return products(torch.einsum("nko,ni->koi", outputs, inputs).flatten(1))

    def _outputs(self, use: tuple[int, int]) -> Tensor:
        """D of all products with one weight, (n, K, out)."""
        if use not in self._stacked:
            first = len(self.leaves)
            parts: list[Tensor] = []
            for place in range(first + use[0], first + use[1]):
                found = [row.get(place) for row in self.rows]
                parts.append(torch.stack(_filled(found), 1))
            self._stacked[use] = _joined(parts)
        return self._stacked[use]

    def _shared(self, place: int, shares: Sequence[Tensor], kept: Sequence[int]) -> list[Tensor]:
        """Weighted gradients of one leaf, to be added up."""
        use = self.plan.uses[place]
        if use is None:
            rows = [(self.rows[goal], shares[goal]) for goal in kept]
            return [row[place] * s.to(_wide(row[place])) for row, s in rows if place in row]
        outputs = self._outputs(use)
        if len(kept) < len(self.rows):
            outputs = outputs[:, list(kept)]
        inputs = _joined(self.inputs[slice(*use)])
        wide = torch.promote_types(outputs.dtype, torch.float32)  # a weight of 1e-8 is 0 in float16
        mixed = torch.stack([shares[goal] for goal in kept]).to(wide) @ outputs.to(wide)
        return [mixed.T @ inputs.to(wide)]


def _apart(
    plan: GradientPlan,
    losses: Sequence[Tensor],
    asked: dict[int, Tensor | GradientEdge],
    buffers: Buffers,
    *,
    keep: bool,
) -> list[_Row]:
    rows: list[_Row] = []
    for goal, loss in enumerate(losses):
        places = [
            place for place in asked if place >= len(plan.reach) or plan.reach[place] >> goal & 1
        ]
        last = goal == len(losses) - 1
        with buffers.passing():
            some = {place: asked[place] for place in places}
            rows.append(_ask([loss], some, keep=keep or not last))
    return rows


def _together(
    plan: GradientPlan,
    losses: Sequence[Tensor],
    asked: dict[int, Tensor | GradientEdge],
    meeting: Sequence[GradientEdge],
    *,
    keep: bool,
) -> list[_Row]:
    """Every goal down to the meeting point by itself; from there on all at once."""
    everyone = (1 << len(losses)) - 1
    common = {p: t for p, t in asked.items() if p >= len(plan.reach) or plan.reach[p] == everyone}
    rows: list[_Row] = []
    arrived: list[_Row] = []
    for goal, loss in enumerate(losses):
        own = {p: t for p, t in asked.items() if p not in common and plan.reach[p] >> goal & 1}
        ways: dict[int, Tensor | GradientEdge] = {-1 - n: edge for n, edge in enumerate(meeting)}
        found = _ask([loss], ways | own)
        rows.append({place: found[place] for place in own if place in found})
        arrived.append(found)
    stacked = [
        torch.stack(_filled([row.get(-1 - number) for row in arrived]))
        for number in range(len(meeting))
    ]
    try:
        shared = _ask(list(meeting), common, stacked, keep=keep)
    except RuntimeError as error:
        if "Batching rule" not in str(error):
            raise
        raise InputError(
            "gram='parameters': a hook inside the network reads values, and here all goals go"
            " through it at once; use gram='features', or take the hook away"
        ) from error
    for goal, row in enumerate(rows):
        row.update({place: value[goal] for place, value in shared.items()})
    return rows


def _ask(
    outputs: Sequence[Tensor | GradientEdge],
    asked: dict[int, Tensor | GradientEdge],
    batch: Sequence[Tensor] | None = None,
    *,
    keep: bool = True,
) -> _Row:
    differentiate: Any = torch.autograd.grad  # its annotations do not know mixed sequences
    found = differentiate(
        list(outputs),
        list(asked.values()),
        grad_outputs=batch,
        retain_graph=keep,
        allow_unused=True,
        is_grads_batched=batch is not None,
    )
    return {place: value for place, value in zip(asked, found, strict=True) if value is not None}


def _input(node: Node) -> Tensor:
    saved = "_saved_mat1" if node.name() == "AddmmBackward0" else "_saved_self"
    return getattr(node, saved).detach()


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _wide(value: Tensor) -> torch.dtype:
    """At least float32, for weights that low precision cannot hold."""
    return torch.promote_types(value.dtype, torch.float32)


def _filled(values: Sequence[Tensor | None], like: Tensor | None = None) -> list[Tensor]:
    """Zeros where a goal does not reach; at least one value, or `like`, is known."""
    known = next((value for value in values if value is not None), like)
    nothing = None if known is None or None not in values else torch.zeros_like(known)
    return [value if value is not None else nothing for value in values]  # type: ignore[misc]


def _flat(value: Tensor) -> Tensor:
    value = value.to_dense() if value.is_sparse else value
    return (torch.view_as_real(value) if value.is_complex() else value).flatten()
