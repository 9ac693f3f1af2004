"""What a model was like when something was fitted to it, to notice when it no longer is."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterpoint.parameters import named, unwrapped


@dataclass(frozen=True)
class State:
    """Digests of all parameters and buffers: a change moves the sum or the sum of squares.

    Attributes:
        digests: name -> shape, sum and sum of squares.
    """

    digests: dict[str, tuple[tuple[int, ...], float, float]]

    @classmethod
    def of(cls, model: nn.Module) -> "State":
        """As the model is now."""
        return cls(dict(_digests(model)))

    def changed(self, model: nn.Module) -> str | None:
        """The name of the first tensor that is another one now; none where all are the same."""
        found = dict(_digests(model))
        names = [*self.digests, *(name for name in found if name not in self.digests)]
        return next((n for n in names if self.digests.get(n) != found.get(n)), None)


def _digests(model: nn.Module) -> Iterator[tuple[str, tuple[tuple[int, ...], float, float]]]:
    tensors: dict[str, Tensor] = {**named(model), **dict(unwrapped(model).named_buffers())}
    with torch.no_grad():
        for name, value in tensors.items():
            flat = value.detach().flatten()
            wide = torch.promote_types(flat.dtype, torch.float32)
            numbers = flat.to(wide)
            yield name, (tuple(value.shape), float(numbers.sum()), float(numbers @ numbers))
