"""What must be asked of a graph to have every goal's gradient of every weight."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.autograd.graph import Node

from counterpoint.balance._graph import Form, Graph, leaf_of
from counterpoint.balance.sources._buffers import recomputes
from counterpoint.balance.sources._direct import hooked
from counterpoint.errors import InputError

_PASSED_ON = ("TBackward0", "ToCopyBackward0")
_PRODUCTS = {"AddmmBackward0": 2, "MmBackward0": 1}  # which edge leads to the weight
_BATCHED = {
    *_PASSED_ON, *_PRODUCTS, "torch::autograd::AccumulateGrad", "AddBackward0", "SubBackward0",
    "MulBackward0", "DivBackward0", "NegBackward0", "ReluBackward0", "GeluBackward0",
    "SiluBackward0", "TanhBackward0", "SigmoidBackward0", "SoftplusBackward0", "ViewBackward0",
    "UnsafeViewBackward0", "ReshapeAliasBackward0", "NativeLayerNormBackward0", "MulBackward1",
    "LeakyReluBackward0", "EluBackward0", "ExpBackward0", "CatBackward0", "NativeDropoutBackward0",
}  # fmt: skip


@dataclass(frozen=True)
class GradientPlan:
    """Which nodes of a graph to look at."""

    form: Form
    places: tuple[int, ...]  # of the nodes in the trace, in the order: leaves, uses, meeting
    reach: tuple[int, ...]  # for every leaf the goals that reach it, as bits
    # for a leaf that is the weight of matrix products alone their range among the uses; None for
    # one whose gradient is asked for itself
    uses: tuple[tuple[int, int] | None, ...]
    counted: tuple[bool, ...]  # which leaves enter the Gram matrix
    meeting: tuple[int, ...]  # outputs where all goals meet; empty: one goal after the other
    hooked: bool  # whether something changes a gradient that arrives where the goals meet
    again: bool  # whether a backward pass may run parts of the model again


def make_plan(
    graph: Graph, form: Form, chosen: Sequence[Tensor], *, structured: bool
) -> GradientPlan:
    """Read the graph of one step; without `chosen`, weights count that two goals reach."""
    leaves = graph.leaves()
    counted = _counted(graph, leaves, chosen)
    below = graph.consumers()
    # if structured, gradients of matrix products stay in their two factors
    used = [_products(node, below) if structured and counted[node] else None for node in leaves]
    uses: list[tuple[int, int] | None] = []
    nodes: list[Node] = []
    for some in used:
        uses.append(None if some is None else (len(nodes), len(nodes) + len(some)))
        nodes += some or []
    touched, again = any(hooked(edge) for edge in graph.meeting() or []), recomputes(graph.nodes)
    batched = structured and not touched and not again
    meeting = _together(graph, leaves, counted) if batched else []
    places = [edge[0] for edge in meeting]
    return GradientPlan(
        form=form,
        places=tuple(graph.place[node] for node in [*leaves, *nodes, *places]),
        reach=tuple(graph.reach[node] for node in leaves),
        uses=tuple(uses),
        counted=tuple(counted.values()),
        meeting=tuple(edge[1] for edge in meeting),
        hooked=touched,
        again=again,
    )


def askable(graph: Graph) -> None:
    """Refuse a graph that cannot be differentiated one goal at a time."""
    if any("CheckpointFunctionBackward" in node.name() for node in graph.nodes):
        raise InputError(
            "gram='parameters': checkpoints with use_reentrant=True cannot be differentiated one"
            " goal at a time; use use_reentrant=False, or gram='features'"
        )


def _counted(
    graph: Graph, leaves: dict[Node, Tensor], chosen: Sequence[Tensor]
) -> dict[Node, bool]:
    wanted = {id(tensor) for tensor in chosen}
    if wanted:
        counted = {node: id(leaf) in wanted for node, leaf in leaves.items()}
    else:
        counted = {node: graph.reach[node].bit_count() > 1 for node in leaves}
    if not any(counted.values()):
        raise InputError(
            "gram: no weight is shared: no two goals depend on the same one; train them apart, or"
            " take a rule that looks at losses only, such as 'sum' or 'uncertainty'"
        )
    return counted


def _products(leaf: Node, below: dict[Node, list[tuple[Node, int]]]) -> list[Node] | None:
    """The matrix products with this weight, transposed; None if it is used in any other way."""
    leaf_value = leaf_of(leaf)
    if leaf_value is not None and leaf_value.is_complex():
        return None
    found: list[Node] = []
    queue = [(*consumer, False) for consumer in below[leaf]]
    while queue:
        node, number, turned = queue.pop()
        name = node.name()
        if name in _PASSED_ON:
            turned = turned != (name == "TBackward0")
            queue += [(*consumer, turned) for consumer in below[node]]
        elif turned and _PRODUCTS.get(name) == number and plain_product(node):
            found.append(node)
        else:
            return None
    return found or None


def plain_product(node: Node) -> bool:
    """Whether a product is not multiplied by a number on its way (`torch.addmm` may)."""
    return getattr(node, "_saved_alpha", 1) == 1


def _together(
    graph: Graph, leaves: dict[Node, Tensor], counted: dict[Node, bool]
) -> list[tuple[Node, int]]:
    """Where the goals meet, if below it all of them may be differentiated at once."""
    meeting = graph.meeting()
    # of two values, what arrives at the lower one may have come through the upper one already
    if meeting is None or len(meeting) > 1:
        return []
    shared = [node for node in graph.nodes if graph.reach[node] == graph.everyone]
    # only what is as fast for a batch of gradients as for one: convolutions take two to three times
    # as long so
    known = all(node.name() in _BATCHED for node in shared)
    apart = any(graph.reach[node] not in (graph.everyone, _single(graph, node)) for node in leaves)
    if not known or apart or any(leaf_of(edge.node) is not None for edge in meeting):
        return []
    whole = all(graph.reach[node] == graph.everyone for node in leaves if counted[node])
    return [(edge.node, edge.output_nr) for edge in meeting] if whole else []


def _single(graph: Graph, node: Node) -> int:
    return graph.reach[node] if graph.reach[node].bit_count() == 1 else 0
