"""Gradients at the weights themselves: exact."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.autograd.graph import Node

from counterpoint.balance._graph import Graph, trace
from counterpoint.balance.sources._buffers import Buffers
from counterpoint.balance.sources._direct import plain
from counterpoint.balance.sources._gradients import Gradients
from counterpoint.balance.sources._plan import GradientPlan, askable, make_plan, plain_product
from counterpoint.balance.sources._source import Measured, StepContext, once_only
from counterpoint.errors import InputError


class Parameters:
    """G_kl = <dL_k/dtheta, dL_l/dtheta> over weights, exact.

    A weight that only enters matrix products ``y = x W'`` is never differentiated: from the
    gradients D_k of y, ``dL_k/dW = D_k' x`` and ``G_kl += <D_k, (x x') D_l>``, with products over
    rows instead of over weights; several products with one weight are one product of their rows
    put under one another. All other weights are differentiated goal by goal. Where everything
    below the meeting point of the goals allows it, the goals go through it together.

    Over ranks every goal's gradient travels: K messages as large as the weights that count.

    Args:
        chosen: the weights that count; none: those at which at least two goals pull. Behind values
            that are put side by side (heads joined by `cat`) the graph leads every goal to every
            head, so gradients decide; a goal that pulls nowhere in a step, where the graph leads.
        why: why this source, for the record.
    """

    def __init__(
        self, chosen: Callable[[StepContext], Sequence[Tensor]] | None = None, why: str = ""
    ) -> None:
        self._chosen = chosen
        self._why = why
        self._plan: GradientPlan | None = None

    @property
    def text(self) -> str:
        """Where it measures."""
        return f"parameters{self._why}"

    def measure(self, context: StepContext) -> Measured:
        """See `GramSource`.

        Raises:
            InputError: no weight is shared; or a part of the graph cannot be asked goal by goal.
        """
        if getattr(context.model, "static_graph", False):
            raise InputError(
                "gram: DistributedDataParallel(static_graph=True) counts every backward pass; use"
                " gram='features' or 'sketch', or leave static_graph out"
            )
        structured = context.ranks.count == 1  # products of rows do not add over ranks
        plan, nodes = self._nodes(context, structured)
        # all gradients are worth keeping only where all of them are computed anyway
        leaves = [getattr(node, "variable") for node in nodes[: len(plan.reach)]]  # noqa: B009
        whole = self._chosen is None and not plan.hooked and plain(context, leaves)
        buffers = Buffers(context.model if plan.again else None)
        try:
            found = Gradients.ask(plan, nodes, context.scaled, buffers, whole=whole)
        except RuntimeError as error:
            raise once_only(error) from error
        gram = context.unscaled(found.gram(context.ranks, shared=self._chosen is None))
        return Measured(gram, assemble=found.assemble if whole else None)

    def _nodes(self, context: StepContext, structured: bool) -> tuple[GradientPlan, list[Node]]:
        found = trace(context.losses)
        plan = self._plan
        # the number in `addmm` may change while the form of the graph does not: asked again
        if plan is not None and plan.form == found.form:
            nodes = found.at(plan.places)
            uses = nodes[len(plan.reach) : len(nodes) - len(plan.meeting)]
            if all(plain_product(node) for node in uses):
                return plan, nodes
        graph = Graph(found, len(context.losses))
        askable(graph)
        chosen = () if self._chosen is None else self._chosen(context)
        plan = self._plan = make_plan(graph, found.form, chosen, structured=structured)
        return plan, found.at(plan.places)
