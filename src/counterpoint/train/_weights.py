"""Everything a model holds, out and back in: parameters and buffers, tied ones once."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from math import fsum
from operator import lt
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.errors import InputError
from counterpoint.parameters import named, unwrapped


class Best:
    """The weights of the epoch with the lowest validation score, of each model in a pack.

    Attributes:
        epochs: that epoch of each; empty before the first validation.
        scores: their scores.
        weights: their weights, packed like the model's.
    """

    def __init__(self, patience: int, models: int = 1) -> None:
        self.epochs: list[int] = []
        self.scores = [float("inf")] * models
        self.weights: dict[str, Tensor] = {}
        self._patience = patience

    @property
    def epoch(self) -> int | None:
        """The last epoch that was the best of some model."""
        return max(self.epochs, default=None)

    def see(self, epoch: int, goals: Sequence[float], model: nn.Module) -> None:
        """Keep the weights of each model whose score is lower than every one before.

        Args:
            epoch: its number.
            goals: their values, model by model.
            model: it, or the pack.
        """
        own = len(goals) // len(self.scores)
        parts = [goals[at : at + own] for at in range(0, len(goals), own)]
        scores = [fsum(part) / own for part in parts]
        # strictly: of equal epochs the first, which NaN never beats
        better = [m for m, pair in enumerate(zip(scores, self.scores, strict=True)) if lt(*pair)]
        if len(better) == len(scores):
            self.epochs, self.weights = [epoch] * len(scores), snapshot(model)
        elif better:
            for name, value in named(model).items():
                self.weights[name][better] = value.detach()[better]
        for place in better:
            self.epochs[place], self.scores[place] = epoch, scores[place]

    def exhausted(self, epoch: int) -> bool:
        """Whether `patience` epochs went by without a better score of any model."""
        if self._patience == 0 or self.epoch is None:
            return False
        return epoch - self.epoch >= self._patience

    def state(self) -> list[Any] | None:
        """Epochs and scores, as JSON holds them; None before the first validation."""
        return [self.epochs, self.scores] if self.epochs else None

    def restore(self, state: Sequence[Any] | None, weights: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave, and the weights."""
        if state is not None:
            # one model's were once plain numbers
            epochs, scores = (part if isinstance(part, list) else [part] for part in state)
            self.epochs, self.scores, self.weights = epochs, scores, dict(weights)


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
