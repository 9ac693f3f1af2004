"""The graph behind the losses: where the goals meet, and whether it is the one of the last step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node

Form: TypeAlias = tuple[Any, ...]
"""What two graphs of one form have in common: kinds of nodes, edges, and which weights they use."""


@dataclass(frozen=True)
class Trace:
    """Every node behind some losses, each once, in an order that the form alone decides."""

    nodes: tuple[Node, ...]  # the losses' own first
    form: Form  # equal for two graphs exactly if their nodes correspond place by place

    def at(self, places: Sequence[int]) -> list[Node]:
        """The nodes at some places."""
        return [self.nodes[place] for place in places]


def trace(losses: Sequence[Tensor]) -> Trace:
    """Walk the graph behind losses once; about 2 us a node, so it is done at every step."""
    nodes: list[Node] = []
    places: dict[Node, int] = {}

    def place_of(node: Node) -> int:
        if node not in places:
            places[node] = len(nodes)
            nodes.append(node)
        return places[node]

    form: list[object] = [tuple(place_of(_root(loss)) for loss in losses)]
    for node in nodes:  # grows while it is walked
        edges = tuple(
            (-1, 0) if below is None else (place_of(below), output)
            for below, output in node.next_functions
        )
        # a parameter is the same at every step, so its identity is part of the form; a graph that
        # ends in another one is another graph
        leaf = None if edges else leaf_of(node)
        form.append((type(node), edges, id(leaf) if isinstance(leaf, nn.Parameter) else 0))
    return Trace(tuple(nodes), tuple(form))


class Graph:
    """What a trace says of who meets whom."""

    def __init__(self, found: Trace, goals: int) -> None:
        roots: tuple[int, ...] = found.form[0]
        self.nodes = found.nodes
        self.roots = tuple(found.nodes[place] for place in roots)
        self.place = {node: number for number, node in enumerate(found.nodes)}
        # sets of goals as bits: of a node, those that reach it
        self.everyone = (1 << goals) - 1
        self.reach: dict[Node, int] = dict.fromkeys(found.nodes, 0)
        for number, root in enumerate(self.roots):
            self._mark(root, 1 << number)

    def meeting(self) -> list[GradientEdge] | None:
        """The values through which all goals reach what they share; None without such values."""
        # a loss that others are made of: entries of one vector, one the sum of others
        if any(self.reach[root] == self.everyone for root in self.roots):
            return None
        found: dict[tuple[Node, int], None] = {}
        for node in self.nodes:
            if self.reach[node] != self.everyone:
                for below, output in node.next_functions:
                    if below is not None and self.reach[below] == self.everyone:
                        found[below, output] = None
        # a leaf is a weight that goals use directly: no computed value stands between
        if not found or any(leaf_of(node) is not None for node, _ in found):
            return None
        return [GradientEdge(node, output) for node, output in found]

    def leaves(self) -> dict[Node, Tensor]:
        """Every leaf that some goal reaches, in the order of the trace."""
        pairs = ((node, leaf_of(node)) for node in self.nodes)
        return {node: leaf for node, leaf in pairs if leaf is not None}

    def consumers(self) -> dict[Node, list[tuple[Node, int]]]:
        """For every node those that use its value, each with the number of the edge."""
        found: dict[Node, list[tuple[Node, int]]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for number, (below, _) in enumerate(node.next_functions):
                if below is not None:
                    found[below].append((node, number))
        return found

    def _mark(self, root: Node, bit: int) -> None:
        stack = [root]
        while stack:
            node = stack.pop()
            if not self.reach[node] & bit:
                self.reach[node] |= bit
                stack += [below for below, _ in node.next_functions if below is not None]


def leaf_of(node: Node) -> Tensor | None:
    """The leaf whose gradient a node adds up; None for a node that computes."""
    if type(node).__name__ != "AccumulateGrad":
        return None
    # torch's stubs do not know the attribute
    return getattr(node, "variable")  # noqa: B009


def _root(loss: Tensor) -> Node:
    """The node that made a loss, or the leaf that it is."""
    if loss.grad_fn is not None:
        return loss.grad_fn
    # a leaf's own node, which adds up its gradient, is only to be had from what is made of the leaf
    return loss.view_as(loss).grad_fn.next_functions[0][0]  # type: ignore[union-attr]
