"""Slopes pushed through the layers of a sequential network, all directions at once.

This is forward-mode differentiation, whose slopes are called tangents, with several tangents to a
value. Every slope after a linear layer or an activation is that of its input, times a matrix or a
number, so the values are computed once for all directions. Only layers whose rule is known here,
without hooks, are pushed through; every other function is differentiated by backward passes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from counterpoint.derivatives._function import Function
from counterpoint.parameters import unwrapped

_Rule: TypeAlias = Callable[[Tensor], Tensor]
"""From slopes ``(ways, rows or 1, inputs)`` of a layer's input to those of its output."""


@dataclass(frozen=True)
class Evaluated:
    """A network evaluated once, with what makes its slopes along every direction."""

    values: Float[Tensor, "rows outputs"]
    slopes: Callable[[], Float[Tensor, "ways rows outputs"]]


def push(
    function: Function,
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
) -> Evaluated | None:
    """Evaluate a sequential network at x; None where it is not one, or a layer has no rule."""
    if torch.is_autocast_enabled(x.device.type) or torch.compiler.is_compiling():
        return None
    layers = _layers(function)
    if layers is None:
        return None
    ways = directions
    if ways is None:  # all rows share their slopes for as long as layers are linear
        ways = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).unsqueeze(1)
    values, steps = x, list[_Rule]()
    for layer in layers:
        values, step = _RULES[type(layer)](layer, values)
        steps.append(step)

    def slopes() -> Tensor:
        found = ways
        for step in steps:
            found = step(found)
        return found.expand(len(ways), *values.shape)

    return Evaluated(values, slopes)


def _layers(function: object) -> list[Any] | None:
    """The layers in their order, nested ones in a row; None where one is not known."""
    if not isinstance(function, nn.Module):
        return None
    module = unwrapped(function)
    if _hooked(module):
        return None
    # the exact type: a subclass may compute anything
    if type(module) in _RULES:
        return None if getattr(module, "inplace", False) else [module]
    if type(module) is not nn.Sequential:
        return None
    parts = [_layers(child) for child in module]
    return None if None in parts else [layer for part in parts for layer in part or ()]


def _hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)  # pyright: ignore[reportPrivateUsage] - no public view
    # a hook or a replaced forward may change what no rule here knows
    return any(hooks) or "forward" in vars(module)


def _linear(layer: nn.Linear, x: Tensor) -> tuple[Tensor, _Rule]:
    return layer(x), lambda slopes: functional.linear(slopes, layer.weight)


def _elementwise(layer: nn.Module, x: Tensor) -> tuple[Tensor, _Rule]:
    values = layer(x)

    def step(slopes: Tensor) -> Tensor:
        return slopes * _derivative(layer, x, values)

    return values, step


def _derivative(function: Callable[[Tensor], Tensor], at: Tensor, values: Tensor) -> Tensor:
    """That of a function of each entry, with a graph where gradients are enabled."""
    kept = torch.is_grad_enabled()
    if not values.requires_grad or not at.requires_grad:
        with torch.enable_grad():
            at = at.detach().requires_grad_()
            values = function(at)
    ones = torch.ones_like(values)
    return torch.autograd.grad(values, at, ones, create_graph=kept, retain_graph=True)[0]


def _dropout(layer: nn.Dropout, x: Tensor) -> tuple[Tensor, _Rule]:
    # one draw for values and slopes alike, scaled as torch scales it
    mask = layer(torch.ones_like(x))
    return x * mask, lambda slopes: slopes * mask


def _layer_norm(layer: nn.LayerNorm, x: Tensor) -> tuple[Tensor, _Rule]:
    def step(slopes: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        rate = (variance + layer.eps).rsqrt()
        unit = (x - mean) * rate
        # d of (x - mean) / s: the part along the unit vector and the mean are taken out (Ba et al.
        # 2016)
        along = unit * (unit * slopes).mean(-1, keepdim=True)
        found = rate * (slopes - slopes.mean(-1, keepdim=True) - along)
        return found * layer.weight if layer.elementwise_affine else found

    return layer(x), step


def _same(layer: nn.Module, x: Tensor) -> tuple[Tensor, _Rule]:
    return layer(x), lambda slopes: slopes


_SMOOTH = (nn.Tanh, nn.Sigmoid, nn.SiLU, nn.GELU, nn.Softplus, nn.ELU, nn.SELU, nn.CELU, nn.Mish)
_KINKED = (nn.ReLU, nn.LeakyReLU, nn.LogSigmoid, nn.Hardtanh, nn.Softsign, nn.Hardswish)
_RULES: Mapping[type[nn.Module], Callable[[Any, Tensor], tuple[Tensor, _Rule]]] = {
    nn.Linear: _linear,
    nn.Dropout: _dropout,
    nn.LayerNorm: _layer_norm,
    nn.Identity: _same,
    **dict.fromkeys((*_SMOOTH, *_KINKED), _elementwise),
}
