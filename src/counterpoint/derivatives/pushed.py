"""Tensors that carry slopes beside their values through a function, all directions at once.

Every slope of a linear layer or an activation is that of its input, times a matrix or a number: the
values need be computed once for all directions, where dual numbers need a copy for each. What has
no rule here is left to dual numbers (`Unpushable`).
"""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional
from torch.utils._pytree import tree_leaves, tree_map_only

from counterpoint.derivatives.function import Function, Randomness, columns

__all__ = ["Evaluated", "Pushed", "Unpushable", "dual", "push"]

Rule: TypeAlias = Callable[..., "Pushed"]


class Unpushable(Exception):
    """An operation that no rule is known for; dual numbers may know one."""


class Pushed(Tensor):
    """A tensor ``(rows, ...)`` that knows how to make its slopes ``(ways, rows or 1, ...)``.

    Slopes are made when they are asked for, once, from those of what the tensor was made of: until
    then a pass costs what a plain one does. The axis of rows has length 1 where all rows share
    their slopes, as unit directions do.

    Attributes:
        plain: the tensor itself.
    """

    plain: Tensor
    _make: Callable[[], Tensor] | None
    _made: Tensor

    @classmethod
    def of(cls, plain: Tensor, make: Callable[[], Tensor]) -> "Pushed":
        """A tensor, with what makes its slopes."""
        found = plain.as_subclass(cls)
        found.plain, found._make = plain, make
        return found

    def slopes(self) -> Tensor:
        """The slopes, ``(ways, rows or 1, ...)``."""
        if self._make is not None:
            self._made, self._make = self._make(), None
        return self._made

    def full(self) -> Tensor:
        """The slopes, ``(ways, rows, ...)``."""
        found = self.slopes()
        return found.expand(len(found), *self.plain.shape)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """By its rule; what gives no floating point tensor is asked of the plain tensor."""
        kwargs = kwargs or {}
        if func in _RULES:
            return _RULES[func](func, *args, **kwargs)
        plain_args, plain_kwargs = tree_map_only(Pushed, lambda one: one.plain, (args, kwargs))
        found = func(*plain_args, **plain_kwargs)
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_complex()):
                raise Unpushable(getattr(func, "__name__", str(func)))
        return found


@dataclass(frozen=True)
class Evaluated:
    """A function evaluated once, with what makes its slopes.

    Attributes:
        values: at the points.
        slopes: makes the slopes along every direction.
    """

    values: Float[Tensor, "rows outputs"]
    slopes: Callable[[], Float[Tensor, "ways rows outputs"]]


def push(
    function: Function,
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
) -> Evaluated | None:
    """Evaluate at pushed points; None (and the random state as it was) where a rule is missing."""
    if torch.compiler.is_compiling():
        return None
    ways = (
        torch.eye(x.shape[1], dtype=x.dtype, device=x.device).unsqueeze(1)
        if directions is None
        else directions
    )
    before = Randomness.of(x)
    try:
        with _uncompiled():
            found = function(Pushed.of(x, lambda: ways))
    except Unpushable:
        before.restore()
        return None
    if not isinstance(found, Pushed):
        before.restore()
        return None
    values = columns(found.plain, len(x))
    return Evaluated(values, lambda: found.full().reshape(len(ways), *values.shape))


def _uncompiled() -> AbstractContextManager[object]:
    """Lets compiled parts of a function run as they are written: compiled they see no slopes."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and to load it takes seconds
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


def dual(values: Tensor, slopes: Tensor) -> Tensor:
    """Values with a slope each, inside `torch.autograd.forward_ad.dual_level`."""
    if torch.compiler.is_compiling():  # which cannot trace how warnings are silenced
        return forward_ad.make_dual(values.contiguous(), slopes.contiguous())
    with warnings.catch_warnings():
        # torch loads its forward formulas through torch.jit, of which it warns
        warnings.filterwarnings("ignore", r".*torch\.jit\.script", DeprecationWarning)
        return forward_ad.make_dual(values.contiguous(), slopes.contiguous())


def _only(x: Any, *others: Any) -> Tensor:
    """The plain first argument, if it alone is pushed and nothing is changed in place."""
    if not isinstance(x, Pushed) or any(one is True or isinstance(one, Pushed) for one in others):
        raise Unpushable
    return x.plain


def _linear(func: Callable[..., Tensor], x: Any, weight: Any, bias: Any = None) -> Pushed:
    values = func(_only(x, weight, bias), weight, bias)
    return Pushed.of(values, lambda: functional.linear(x.slopes(), weight))


def _elementwise(func: Callable[..., Tensor], x: Any, *args: Any, **kwargs: Any) -> Pushed:
    plain = _only(x, *args, *kwargs.values())

    values = func(plain, *args, **kwargs)

    def slopes() -> Tensor:
        return x.slopes() * _derivative(lambda at: func(at, *args, **kwargs), plain, values)

    return Pushed.of(values, slopes)


def _derivative(function: Callable[[Tensor], Tensor], at: Tensor, values: Tensor) -> Tensor:
    """That of a function of each entry, with a graph where gradients are enabled."""
    kept = torch.is_grad_enabled()
    if not values.requires_grad or not at.requires_grad:
        with torch.enable_grad():
            at = at.detach().requires_grad_()
            values = function(at)
    ones = torch.ones_like(values)
    return torch.autograd.grad(values, at, ones, create_graph=kept, retain_graph=True)[0]


def _dropout(
    func: Callable[..., Tensor],
    x: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Pushed:
    plain = _only(x, inplace)
    mask = func(torch.ones_like(plain), p, training)
    return Pushed.of(plain * mask, lambda: x.slopes() * mask)


def _sum(func: Callable[..., Tensor], a: Any, b: Any) -> Pushed:
    values, pushed = _pair(func, a, b)
    return Pushed.of(values, lambda: _like(values, *(one.slopes() for one in pushed)))


def _product(func: Callable[..., Tensor], a: Any, b: Any) -> Pushed:
    values, pushed = _pair(func, a, b)
    if len(pushed) == 1:
        (one,), other = pushed, b if isinstance(a, Pushed) else a
        return Pushed.of(values, lambda: _like(values, one.slopes() * other))
    return Pushed.of(values, lambda: _like(values, a.slopes() * b.plain, b.slopes() * a.plain))


def _pair(func: Callable[..., Tensor], a: Any, b: Any) -> tuple[Tensor, list[Pushed]]:
    """Values of an operation of two, and those of them that are pushed."""
    pushed = [one for one in (a, b) if isinstance(one, Pushed)]
    values = func(*(one.plain if isinstance(one, Pushed) else one for one in (a, b)))
    # With fewer axes than the result, or another number of rows, slopes would not line up.
    if any(one.plain.ndim != values.ndim or len(one.plain) != len(values) for one in pushed):
        raise Unpushable
    return values, pushed


def _like(values: Tensor, *slopes: Tensor) -> Tensor:
    """The sum of slopes, in the shape of a row of the values."""
    found = slopes[0] if len(slopes) == 1 else slopes[0] + slopes[1]
    return found.expand(*found.shape[:2], *values.shape[1:])


_ELEMENTWISE: tuple[Callable[..., Any], ...] = (
    *(getattr(torch, name) for name in ("tanh", "sigmoid", "relu", "exp", "sin", "cos", "square")),
    *(getattr(Tensor, name) for name in ("tanh", "sigmoid", "relu", "exp", "sin", "cos", "square")),
    *(functional.relu, functional.silu, functional.gelu, functional.softplus, functional.elu),
    *(functional.selu, functional.celu, functional.mish, functional.leaky_relu, functional.tanh),
    *(functional.sigmoid, functional.logsigmoid, functional.hardtanh, functional.softsign),
)
_RULES: Mapping[Callable[..., Any], Rule] = {
    functional.linear: _linear,
    functional.dropout: _dropout,
    **dict.fromkeys((torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__), _sum),
    **dict.fromkeys((torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__), _product),
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
}
