"""What runs along the result of a function or method of tensors, by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias, cast

from torch import Tensor, fx

from counterpoint.merge.alignment._channels import Channels, Sides, UnitAxis

_Answer: TypeAlias = Sides | list[Sides] | None

_ALONG = [
    "relu",
    "relu_",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "dropout",
    "dropout2d",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "mish",
    "softplus",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "relu6",
    "softsign",
    "logsigmoid",
    "softmax",
    "log_softmax",
    "neg",
    "abs",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "square",
    "pow",
    "clamp",
    "contiguous",
    "clone",
    "detach",
    "float",
    "double",
    "half",
    "to",
    "type_as",
]
"""Treat all units alike, and leave dimensions where they are."""

_AROUND = [
    "max_pool1d",
    "max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "interpolate",
]
"""Treat all channels alike, and mix what is along the last dimensions."""

_TOGETHER = [
    "add",
    "sub",
    "mul",
    "truediv",
    "div",
    "iadd",
    "isub",
    "imul",
    "add_",
    "sub_",
    "mul_",
    "div_",
    "maximum",
    "minimum",
    "where",
]
"""Of several tensors, entry by entry."""

_REDUCE = {"mean", "sum", "amax", "amin"}
"""Along dimensions; in whatever order the units are."""


@dataclass(frozen=True)
class Argument:
    """What a node is given: a value, and what runs along its dimensions."""

    value: Any
    sides: Sides | list[Sides]

    @property
    def side(self) -> Sides:
        """Of one tensor."""
        return {} if isinstance(self.sides, list) else self.sides


def read_operation(node: fx.Node, read: Mapping[fx.Node, Argument], value: Any) -> _Answer:
    """What runs along the result; none where the operation is not read.

    Args:
        node: a call of a function or method.
        read: what is known of the nodes before.
        value: the result.
    """
    name = str(getattr(node.target, "__name__", node.target))
    first = node.args[0] if node.args else None
    if not isinstance(first, fx.Node) or not any(
        _busy(read[each]) for each in node.all_input_nodes
    ):
        return _between(node, read, name, value)
    known = read[first]
    if name == "getitem":
        return _item(known, node.args[1], value)
    if not isinstance(value, Tensor):
        return _beside(value)
    # before what runs along one argument: in a sum all arguments have a say
    if name in _TOGETHER:
        return _together([read[each] for each in node.all_input_nodes], value)
    if name in _ALONG:
        # one exponent or bound a unit has an order, as the terms of a sum have
        terms = [read[each] for each in node.all_input_nodes if _is(read[each])]
        alone = len(terms) == 1 or name in ("to", "type_as")
        return known.side if alone else _together(terms, value)
    if name in _AROUND:
        return around(known, name)
    return _moved(node, known, name, value)


def _between(node: fx.Node, read: Mapping[fx.Node, Argument], name: str, value: Any) -> _Answer:
    """Nothing runs along the first argument, or there is none."""
    if not any(_busy(read[each]) for each in node.all_input_nodes):
        return {}
    if name in ("cat", "concat", "stack"):
        return _joined(node, read, name, value)
    if name in _TOGETHER and isinstance(value, Tensor):
        return _together([read[each] for each in node.all_input_nodes], value)
    return _beside(value)


def _beside(value: Any) -> _Answer:
    """Of results that are not read: sizes and numbers have no units, tensors have."""
    several = isinstance(value, tuple | list) and any(
        isinstance(each, Tensor) for each in cast(Sequence[Any], value)
    )
    return None if several or isinstance(value, Tensor) else {}


def _moved(node: fx.Node, known: Argument, name: str, value: Tensor) -> _Answer:
    """Operations that move or drop dimensions."""
    rest = [*node.args[1:], *node.kwargs.values()]
    before = known.value.ndim
    if name == "flatten":
        return flattened(known, *(cast(int, each) for each in rest))
    if name in ("reshape", "view"):
        return _reshaped(known, value)
    if name in _REDUCE:
        return _reduced(known, node, value)
    if name in ("transpose", "permute"):
        order = _order(name, rest, before)
        return {place: known.side[old] for place, old in enumerate(order) if old in known.side}
    if name == "unsqueeze":
        place = cast(int, rest[0]) % value.ndim
        return {old + (old >= place): channels for old, channels in known.side.items()}
    if name == "expand":
        return {old + value.ndim - before: channels for old, channels in known.side.items()}
    return None


def around(known: Argument, name: str) -> _Answer:
    """Of an operation along the last dimensions, which channels must not be."""
    # as many as its name says; without a batch they begin one earlier
    count = int(name[-2]) if name[-2:-1].isdecimal() else known.value.ndim - 2
    last = known.value.ndim - count
    return None if any(place >= last for place in known.side) else known.side


def flattened(known: Argument, start: int = 0, end: int = -1) -> _Answer:
    """Dimensions that become one: the units' must be the first of these."""
    shape = known.value.shape
    first, last = start % len(shape), end % len(shape)
    found = dict[int, Channels]()
    for place, channels in known.side.items():
        # neighbours in memory would be of different units, which no order of whole blocks keeps
        if first < place <= last:
            return None
        if place == first:
            inner = prod(shape[first + 1 : last + 1])
            axis = UnitAxis(channels.axis.copies, channels.axis.span * inner)
            found[first] = Channels(channels.units, axis)
        else:
            found[place if place < first else place - (last - first)] = channels
    return found


def _reshaped(known: Argument, value: Tensor) -> _Answer:
    """All dimensions from one on as one, or the same again."""
    shape = tuple(known.value.shape)
    if tuple(value.shape) == shape:
        return known.side
    lead = value.ndim - 1
    if tuple(value.shape[:lead]) == shape[:lead] and value.shape[-1] == prod(shape[lead:]):
        return flattened(known, lead, -1)
    return None


def _together(given: Sequence[Argument], value: Tensor) -> _Answer:
    """Units that are added, entry by entry, are in one order; what is alone in it fixes it."""
    found = dict[int, Channels]()
    for place in range(value.ndim):
        meeting = [(each, place - value.ndim + each.value.ndim) for each in given if _is(each)]
        size = value.shape[place]
        wide = [pair for pair in meeting if pair[1] >= 0 and pair[0].value.shape[pair[1]] == size]
        channels = [each.side[own] for each, own in wide if own in each.side]
        if not channels:
            continue
        for one in channels[1:]:
            if one.axis != channels[0].axis:
                return None
            channels[0].units.join(one.units)
        # of the same length and with no units: the input, a constant, a mask
        if len(channels) < len(wide):
            channels[0].units.fix("it meets values that have an order of their own")
        found[place] = channels[0]
    return found


def _order(name: str, rest: Sequence[Any], count: int) -> list[int]:
    """The old place of each dimension."""
    if name == "permute":
        listed = rest[0] if isinstance(rest[0], Sequence) else rest
        return [cast(int, each) % count for each in cast(Sequence[Any], listed)]
    order = list(range(count))
    one, two = (cast(int, each) % count for each in rest)
    order[one], order[two] = two, one
    return order


def _reduced(known: Argument, node: fx.Node, value: Tensor) -> _Answer:
    chosen = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    # a sum over everything is one number, whatever the order
    if chosen is None:
        return {}
    listed = [chosen] if isinstance(chosen, int) else cast(Sequence[int], chosen)
    gone = {each % known.value.ndim for each in listed}
    kept = value.ndim == known.value.ndim
    return {
        place if kept else place - sum(each < place for each in gone): channels
        for place, channels in known.side.items()
        if place not in gone
    }


def _item(known: Argument, index: Any, value: Any) -> _Answer:
    """One of several results, or a part of a tensor that leaves the units whole."""
    if isinstance(known.sides, list):
        return known.sides[index] if isinstance(index, int) else None
    if not isinstance(known.value, Tensor) or not isinstance(value, Tensor):
        return {}
    parts = list(cast("tuple[Any, ...]", index)) if isinstance(index, tuple) else [index]
    if not all(isinstance(each, int | slice) for each in parts):
        return None
    found, place = dict[int, Channels](), 0
    parts += [slice(None)] * (known.value.ndim - len(parts))
    for old, part in enumerate(parts):
        if old in known.side:
            if part != slice(None):
                return None
            found[place] = known.side[old]
        place += not isinstance(part, int)
    return found


def _joined(node: fx.Node, read: Mapping[fx.Node, Argument], name: str, value: Tensor) -> _Answer:
    """One after the other along a dimension that units do not run along."""
    where = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    place = cast(int, where) % value.ndim
    given = [read[each] for each in node.all_input_nodes]
    if name == "stack" or any(place in each.side for each in given):
        return None
    found = dict[int, Channels]()
    for other in range(value.ndim):
        channels = [each.side[other] for each in given if other in each.side]
        for one in channels[1:]:
            if one.axis != channels[0].axis:
                return None
            channels[0].units.join(one.units)
        if channels and len(channels) < len(given):
            channels[0].units.fix("it is joined with values that have an order of their own")
        if channels:
            found[other] = channels[0]
    return found


def _busy(each: Argument) -> bool:
    return bool(each.sides) if not isinstance(each.sides, list) else any(each.sides)


def _is(each: Argument) -> bool:
    return isinstance(each.value, Tensor)
