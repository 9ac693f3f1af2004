"""A forward pass that remembers which operations used which weights."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from counterpoint.curvature.reading._attention import attend
from counterpoint.curvature.reading.calls import Arguments, Call, Layout, read


@dataclass(frozen=True)
class Record:
    """A call, and where its result enters the graph.

    Attributes:
        call: what was done.
        edge: of the result in the graph. Derivatives are taken to edges, not to tensors: a result
            that is changed in place afterwards still has the right edge.
        shape: of the result, examples first.
        versions: of the tensors that the call keeps, to notice changes in place.
    """

    call: Call
    edge: GradientEdge
    shape: torch.Size
    versions: tuple[int, ...]

    def changed(self) -> bool:
        """Whether a tensor that the call keeps was changed in place since."""
        kept = self.call.kept()
        return self.versions != tuple(tensor._version for tensor in kept)


class Tape(TorchFunctionMode):
    """Records the uses of weights while it is entered."""

    def __init__(
        self,
        weights: Mapping[int, str],
        rows: int,
        # from an earlier pass; none to find out, for which a number of rows that no other dimension
        # has is an advantage
        layouts: Mapping[frozenset[str], Layout] | None,
    ) -> None:
        super().__init__()
        self.records: list[Record] = []
        self.unread: dict[str, str] = {}
        self._weights, self._rows, self._layouts = weights, rows, layouts
        self._transposed: dict[int, str] = {}
        # so that no other tensor takes the identity of one that is gone
        self._held: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and record it if it used weights."""
        # every function of torch comes by here while the mode is entered
        named = dict(kwargs or {})
        if func is functional.multi_head_attention_forward:
            # the mode is off inside its own function: entered again, so that the maps are seen
            with self:
                found = attend(Arguments(func, args, named, args[0], self._weights, self._rows))
            if found is not None:
                return found
        result = func(*args, **named)
        names = tuple(self._names([*args, *named.values()]))
        if names and _differentiable(result) and not self._is_transpose(args, result):
            self._record(func, args, named, result, names)
        return result

    def _is_transpose(self, args: Any, result: Any) -> bool:
        """Whether the result is a weight with its two dimensions exchanged, which is no use yet."""
        weight = args[0] if len(args) else None
        if not isinstance(weight, Tensor) or not isinstance(result, Tensor):
            return False
        name, turned = self._weights.get(id(weight)), (result.shape, result.stride())
        if name is None or weight.ndim != 2 or result.data_ptr() != weight.data_ptr():
            return False
        # whatever it was called: x @ W.T is the linear map of W
        if turned != (weight.shape[::-1], weight.stride()[::-1]):
            return False
        self._transposed[id(result)] = name
        self._held.append(result)
        return True

    def _names(self, values: Any) -> Iterator[str]:
        for value in values:
            if isinstance(value, Tensor):
                # by identity: tied weights are one tensor, and equal ones are two
                if id(value) in self._weights:
                    yield self._weights[id(value)]
                elif id(value) in self._transposed:
                    yield self._transposed[id(value)]
            elif isinstance(value, list | tuple):
                yield from self._names(value)

    def _record(
        self,
        func: Callable[..., Any],
        args: Any,
        named: dict[str, Any],
        result: Any,
        names: tuple[str, ...],
    ) -> None:
        call, key = None, frozenset(names)
        if isinstance(result, Tensor) and (self._layouts is None or key in self._layouts):
            layout = None if self._layouts is None else self._layouts[key]
            known = self._weights, self._rows, layout, self._transposed
            call = read(Arguments(func, args, named, result, *known))
        if call is None or not isinstance(result, Tensor):
            what = getattr(func, "__name__", str(func))
            self.unread.update(dict.fromkeys(names, what))
            return
        shape = result.movedim(call.axis, 0).shape
        versions = tuple(tensor._version for tensor in call.kept())
        self.records.append(Record(call, get_gradient_edge(result), shape, versions))


def _differentiable(result: Any) -> bool:
    """Whether a tensor with a graph is in what an operation returned."""
    if isinstance(result, Tensor):
        return result.requires_grad
    return isinstance(result, list | tuple) and any(_differentiable(part) for part in result)
