"""How the weights of a model are to be read, found out once."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.curvature._sums import wide
from counterpoint.curvature.reading.calls._call import Layout
from counterpoint.data import Batch
from counterpoint.gaussian import FullJacobian
from counterpoint.goals import Heads

PULLED = 8192
"""Rows times directions to pull back at a time; larger batches are taken in parts."""

Whole = Callable[
    [nn.Module, Heads, Mapping[str, Tensor], Batch, Float[Tensor, "columns rows outputs"]],
    list[FullJacobian],
]


@dataclass(frozen=True)
class Plan:
    """How the weights of a model are read, found out once (see `reading.probe`).

    Attributes:
        model: gives one row of output for one row of input.
        heads: what its outputs are.
        weights: name -> weight asked for, in order.
        layouts: names -> where operations on them have the examples.
        unread: names that are taken with the whole model, and
        whole: the function that does it.
        outputs: numbers that a row of output has, all heads together; 0 while not known.
        shared: inputs that all rows share, as the first batch showed.
    """

    model: nn.Module
    heads: Heads
    weights: Mapping[str, Tensor]
    layouts: Mapping[frozenset[str], Layout] | None
    unread: tuple[str, ...]
    whole: Whole
    outputs: int = 0
    shared: frozenset[int | str] = frozenset()

    def by_whole_model(
        self, names: Sequence[str], batch: Batch, columns: Float[Tensor, "columns rows outputs"]
    ) -> list[FullJacobian]:
        """Jacobians by weights whose use is not read, in float32 or better."""
        weights = {name: self.weights[name] for name in names}
        with differentiable(weights.values()):
            entries = self.whole(self.model, self.heads, weights, batch, columns)
        return [FullJacobian(one.name, one.values.to(wide(one.values.dtype))) for one in entries]


@contextmanager
def differentiable(weights: Iterable[Tensor]) -> Generator[None, None, None]:
    """Weights require gradients inside, whatever the caller switched off, and then as before."""
    frozen = [weight for weight in weights if not weight.requires_grad]
    # a prediction is often made under no_grad; the graph is needed all the same
    with torch.inference_mode(False), torch.enable_grad():
        try:
            for weight in frozen:
                weight.requires_grad_()
            yield
        finally:
            for weight in frozen:
                weight.requires_grad_(False)
