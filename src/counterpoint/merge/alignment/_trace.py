"""Which hidden units of a network may change places, found by running its traced graph once.

Shapes are those of real activations; beside each goes what runs along its dimensions. What is not
known keeps the units that reach it in their places, and says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError

from counterpoint.errors import InputError
from counterpoint.merge.alignment._channels import Ledger, Sides, UnitAxis
from counterpoint.merge.alignment._layers import read_layer
from counterpoint.merge.alignment._operations import Argument, read_operation

OUTPUT = "it is the model's output"
"""Why the units of the last layer keep their places."""


def traced(
    model: nn.Module, names: Mapping[int, str], inputs: Sequence[Any], named: Mapping[str, Any]
) -> Ledger:
    """Run a model once and write down what belongs together.

    Args:
        model: in evaluation mode.
        names: a tensor's `id` -> its name.
        inputs: what it is called with.
        named: what it is called with by name.

    Raises:
        InputError: its forward pass cannot be traced (says why).
    """
    try:
        graph = fx.Tracer().trace(model)
    # what a forward pass raises when it is given a proxy in the place of a tensor
    except (TraceError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise InputError(
            f"align: the forward pass of {type(model).__name__} cannot be traced:"
            f" {str(error).splitlines()[0]}; write it without branches on values, or align parts"
        ) from error
    run = _Run(model, graph, names)
    order = [node.name for node in graph.nodes if node.op == "placeholder"]
    rest = [named[name] for name in order[len(inputs) :] if name in named]
    with torch.no_grad():
        run.run(*inputs, *rest)
    return run.ledger


class _Run(fx.Interpreter):
    """An interpreter that keeps, beside every value, what runs along its dimensions."""

    def __init__(self, model: nn.Module, graph: fx.Graph, names: Mapping[int, str]) -> None:
        # values are kept: a later node asks what an earlier one's shape was
        super().__init__(fx.GraphModule(model, graph), garbage_collect_values=False)
        self._names = names
        self.ledger = Ledger(names)
        self._read: dict[fx.Node, Argument] = {}

    def run_node(self, n: fx.Node) -> Any:
        """The value, and beside it its sides."""
        value = super().run_node(n)
        found = self._sides(n, value)
        if found is None:
            self._fix(n, "it reaches " + self._shown(n) + ", which is not read")
        self._read[n] = Argument(value, found or {})
        return value

    def _sides(self, node: fx.Node, value: Any) -> Sides | list[Sides] | None:
        """What runs along the result; none where the node is not read."""
        if node.op == "output":
            self._fix(node, OUTPUT)
            return {}
        if node.op == "get_attr" and isinstance(value, Tensor):
            return self._attribute(value, str(node.target))
        given = [
            self._read[each] if isinstance(each, fx.Node) else Argument(each, {})
            for each in (*node.args, *node.kwargs.values())
        ]
        if node.op == "call_module":
            module = cast(nn.Module, self.fetch_attr(str(node.target)))
            return read_layer(module, str(node.target), given, value, self.ledger)
        if node.op in ("call_function", "call_method"):
            return read_operation(node, self._read, value)
        return {}

    def _attribute(self, value: Tensor, label: str) -> Sides:
        """A parameter by itself, such as embeddings of places: units along its last dimension."""
        if id(value) not in self._names or not value.ndim or value.shape[-1] == 1:
            return {}
        last = value.ndim - 1
        return {last: self.ledger.made(value, last, value.shape[-1], label, UnitAxis())}

    def _fix(self, node: fx.Node, why: str) -> None:
        for each in node.all_input_nodes:
            sides = self._read[each].sides
            for side in sides if isinstance(sides, list) else [sides]:
                for channels in side.values():
                    channels.units.fix(why)

    def _shown(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return f"{node.target} ({type(self.fetch_attr(str(node.target))).__name__})"
        return str(getattr(node.target, "__name__", node.target))
