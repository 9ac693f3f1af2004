"""Everything a model holds, out and back in: parameters and buffers, tied ones once."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.parameters import named, unwrapped


class Best:
    """The weights of the epoch with the lowest validation score.

    Attributes:
        epoch: that epoch; None before the first validation.
        score: its score.
        weights: its weights.
    """

    def __init__(self, patience: int) -> None:
        self.epoch: int | None = None
        self.score = float("inf")
        self.weights: dict[str, Tensor] = {}
        self._patience = patience

    def see(self, epoch: int, score: float, model: nn.Module) -> None:
        """Keep the weights if the score is lower than every one before."""
        # strictly: of equal epochs the first, which NaN never beats
        if score < self.score:
            self.epoch, self.score, self.weights = epoch, score, snapshot(model)

    def exhausted(self, epoch: int) -> bool:
        """Whether `patience` epochs went by without a better score."""
        if self._patience == 0 or self.epoch is None:
            return False
        return epoch - self.epoch >= self._patience


def contents(model: nn.Module) -> dict[str, Tensor]:
    """The model's own parameters and buffers (also those that a state_dict leaves out)."""
    return {**named(model), **dict(unwrapped(model).named_buffers())}


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's contents."""
    return {name: value.detach().clone() for name, value in contents(model).items()}


def put(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy contents back into a model, in place.

    Raises:
        InputError: names a tensor that is missing or has another shape.
    """
    with torch.no_grad():
        for name, value in contents(model).items():
            if name not in tensors or tensors[name].shape != value.shape:
                found = tuple(tensors[name].shape) if name in tensors else "none"
                raise InputError(f"{name!r}: expected a tensor {tuple(value.shape)}, found {found}")
            value.copy_(tensors[name])


def first_bad(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with an entry that is not finite."""
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            return name
    return None


@contextmanager
def frozen(model: nn.Module, names: Sequence[str]) -> Generator[None, None, None]:
    """Named parameters ask for no gradient inside the block; all gradients are dropped after it."""
    parameters = named(model)
    changed = [parameters[name] for name in names if parameters[name].requires_grad]
    for parameter in changed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in changed:
            parameter.requires_grad_(True)
        for parameter in parameters.values():
            # a gradient of ours must not enter a step of the caller
            parameter.grad = None
