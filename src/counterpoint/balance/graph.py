"""Where the goals meet: read once from the graph behind the losses, found again at every step."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

__all__ = ["Graph", "Hop", "Route", "leaf_of", "root_of", "walk"]

Hop: TypeAlias = tuple[int, int, str]
"""From the place of a node, along one of its edges, to a node of this name."""

_Place: TypeAlias = tuple[Node, int]


@dataclass(frozen=True)
class Graph:
    """The nodes behind K losses.

    Attributes:
        roots: the node of each loss.
        reach: the goals that reach a node, as a set of bits.
        nodes: every node once, in the order of a walk from the first loss on.
    """

    roots: tuple[Node, ...]
    reach: dict[Node, int]
    nodes: tuple[Node, ...]

    @property
    def everyone(self) -> int:
        """The bits of all goals."""
        return (1 << len(self.roots)) - 1

    def meeting(self) -> list[GradientEdge] | None:
        """The values through which all goals reach what they have in common.

        That is every edge from a node that some goal does not reach to one that all reach. None
        if one of those is a leaf (a weight that goals use directly), or if there is none: then no
        computed value stands between the goals and what they share.
        """
        found: dict[_Place, None] = {}
        for node in self.nodes:
            if self.reach[node] == self.everyone:
                continue
            for place in _edges(node):
                if self.reach[place[0]] == self.everyone:
                    found[place] = None
        for root in self.roots:
            if self.reach[root] == self.everyone:
                found[root, 0] = None
        if not found or any(leaf_of(node) is not None for node, _ in found):
            return None
        return [GradientEdge(node, output) for node, output in found]

    def leaves(self) -> dict[Node, Tensor]:
        """Every leaf that some goal reaches, in the order of the walk."""
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


@dataclass(frozen=True)
class Route:
    """How to find some nodes of one step's graph in the next one's, without a walk.

    Attributes:
        hops: from node to node; the places 0 to K - 1 are the losses.
        places: the place of each node asked for.
    """

    hops: tuple[Hop, ...] = ()
    places: tuple[int, ...] = field(default=())

    @classmethod
    def to(cls, graph: Graph, nodes: Iterable[Node]) -> "Route":
        """The route to nodes of a graph that was walked."""
        origin: dict[Node, tuple[Node, int]] = {}
        for node in graph.nodes:
            for number, (below, _) in enumerate(node.next_functions):
                if below is not None and below not in origin:
                    origin[below] = (node, number)
        place = {node: number for number, node in reversed(list(enumerate(graph.roots)))}
        hops: list[Hop] = []

        def put(node: Node) -> int:
            path: list[Node] = []
            while node not in place:
                path.append(node)
                node = origin[node][0]
            for node in reversed(path):
                above, number = origin[node]
                hops.append((place[above], number, node.name()))
                place[node] = len(graph.roots) + len(hops) - 1
            return place[node]

        places = tuple(put(node) for node in nodes)
        return cls(tuple(hops), places)

    def follow(self, losses: Sequence[Tensor]) -> list[Node] | None:
        """The nodes in the graph behind these losses; None if it has another form."""
        found = [root_of(loss) for loss in losses]
        for above, number, name in self.hops:
            edges = found[above].next_functions
            below = edges[number][0] if number < len(edges) else None
            if below is None or below.name() != name:
                return None
            found.append(below)
        return [found[place] for place in self.places]


def walk(losses: Sequence[Tensor]) -> Graph:
    """Read the graph behind losses: each node once for every loss that reaches it."""
    roots = tuple(root_of(loss) for loss in losses)
    reach: dict[Node, int] = {}
    order: dict[Node, None] = {}
    for number, root in enumerate(roots):
        bit = 1 << number
        stack = [root]
        while stack:
            node = stack.pop()
            if reach.get(node, 0) & bit:
                continue
            reach[node] = reach.get(node, 0) | bit
            order[node] = None
            stack.extend(below for below, _ in reversed(list(_edges(node))))
    return Graph(roots, reach, tuple(order))


def root_of(loss: Tensor) -> Node:
    """The node that made a loss, or the leaf that it is."""
    if loss.grad_fn is not None:
        return loss.grad_fn
    return loss.view_as(loss).grad_fn.next_functions[0][0]  # type: ignore[union-attr]


def leaf_of(node: Node) -> Tensor | None:
    """The leaf whose gradient a node adds up; None for a node that computes."""
    return getattr(node, "variable", None)


def _edges(node: Node) -> Iterable[_Place]:
    return ((below, output) for below, output in node.next_functions if below is not None)
