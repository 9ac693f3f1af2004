"""A model's weights as one vector of float64, for as long as a minimisation goes on."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.parameters import Pattern, flatten, named, select, unflatten


class Flat:
    """Chosen parameters that are views of one vector.

    Attributes:
        parameters: name -> the model's own `Parameter`.
        greatest: a weight without sign that every parameter's own type can hold.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], greatest: float) -> None:
        self.parameters = parameters
        self.greatest = greatest
        self._vector = flatten(parameters).detach().double().clone()
        for name, view in unflatten(self._vector, parameters).items():
            parameters[name].data = view

    def read(self) -> Float64[np.ndarray, " total"]:
        """A copy of the weights."""
        return self._vector.cpu().numpy().copy()

    def write(self, point: Float64[np.ndarray, " total"]) -> None:
        """Set the weights."""
        self._vector.copy_(torch.from_numpy(point))


def chosen(model: nn.Module, pattern: Pattern | None) -> dict[str, nn.Parameter]:
    """The parameters to minimise over; none given means all that ask for a gradient.

    Raises:
        InputError: there is none, or one is frozen, sparse or complex, or they are on several
            devices.
    """
    if pattern is None:
        found = {name: value for name, value in named(model).items() if value.requires_grad}
        if not found:
            raise InputError(
                "minimize: no parameter of the model requires a gradient; unfreeze some"
                " (requires_grad_())"
            )
    else:
        found = select(model, pattern)
    first = next(iter(found))
    for name, value in found.items():
        _check(name, value)
        if value.device != found[first].device:
            raise InputError(
                f"parameter {name!r}: is on {value.device}, {first!r} on {found[first].device};"
                " minimize needs all on one device"
            )
    return found


def _check(name: str, value: nn.Parameter) -> None:
    if not value.requires_grad:
        raise InputError(
            f"parameter {name!r}: is frozen (requires_grad=False); unfreeze it, or leave it out of"
            " parameters="
        )
    if value.layout != torch.strided or not value.is_floating_point():
        raise InputError(
            f"parameter {name!r}: must be dense and real, found {value.dtype}, {value.layout};"
            " leave it out of parameters="
        )


@contextmanager
def flattened(
    model: nn.Module, parameters: Mapping[str, nn.Parameter]
) -> Generator[Flat, None, None]:
    """The model in float64, chosen parameters as one vector, all others frozen.

    The `Parameter` objects stay the same, so goals and optimisers that hold them see what happens.
    At the end every tensor has its own memory and type back; the chosen parameters hold the
    vector's values, everything else what it held before.

    Args:
        model: changed inside the block.
        parameters: those of its parameters that are minimised over.
    """
    with ExitStack() as stack:
        # a float16 parameter could not hold what float64 finds beyond 65,504
        greatest = min(torch.finfo(value.dtype).max for value in parameters.values())
        for parameter in named(model).values():
            stack.callback(_restore, parameter, parameter.data, parameter.grad)
            stack.callback(parameter.requires_grad_, parameter.requires_grad)
            parameter.grad = None
            # .data: the Parameter object stays, which goals and optimisers hold
            parameter.data = _double(parameter.data)
        for module in model.modules():
            for name, buffer in list(module.named_buffers(recurse=False)):
                stack.callback(setattr, module, name, buffer)
                stack.callback(setattr, buffer, "data", buffer.data)
                # a clone even in float64: batch normalisation would move the caller's
                buffer.data = _double(buffer.data).clone()
        flat = Flat(parameters, greatest)
        inside = {id(value) for value in parameters.values()}
        for parameter in named(model).values():
            parameter.requires_grad_(id(parameter) in inside)
        yield flat


def _restore(parameter: nn.Parameter, memory: Tensor, gradient: Tensor | None) -> None:
    memory.copy_(parameter.data)
    parameter.data = memory
    parameter.grad = gradient


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
