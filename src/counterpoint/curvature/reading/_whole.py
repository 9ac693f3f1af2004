"""Gradients an example at a time, for weights that no kernel reads: right for any model."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from counterpoint.curvature._gradients import gradients
from counterpoint.curvature._labels import flat
from counterpoint.data import Batch
from counterpoint.gaussian import FullJacobian
from counterpoint.goals import Heads


def by_example(
    model: nn.Module,
    heads: Heads,
    weights: Mapping[str, Tensor],
    batch: Batch,
    columns: Float[Tensor, "columns rows outputs"],
) -> list[FullJacobian]:
    """One forward pass an example, one backward pass an example and direction: nothing clever."""
    found = {name: list[Tensor]() for name in weights}
    for row in range(batch.rows):
        with torch.enable_grad():
            output = flat(heads.outputs(batch.take(slice(row, row + 1)).call(model)))
        for column in columns[:, row : row + 1].to(output):
            for name, gradient in gradients(output, weights, column).items():
                found[name].append(gradient)
    # rows outside, directions inside, as the loops ran
    lead = (batch.rows, len(columns))
    return [
        FullJacobian(name, torch.stack(each).view(*lead, *weights[name].shape))
        for name, each in found.items()
    ]


def by_vmap(
    model: nn.Module,
    heads: Heads,
    weights: Mapping[str, Tensor],
    batch: Batch,
    columns: Float[Tensor, "columns rows outputs"],
) -> list[FullJacobian]:
    """The same in one vectorised pass through `torch.func`; not every model can be vectorised."""
    inputs, place = _split(batch)
    detached = {name: weight.detach() for name, weight in weights.items()}

    def example(inputs: list[Tensor], directions: Tensor) -> dict[str, Tensor]:
        args, named = place([value[None] for value in inputs])

        def output(weights: dict[str, Tensor]) -> Tensor:
            return flat(heads.outputs(functional_call(model, weights, args, named)))[0]

        pull: Any = torch.func.vjp(output, detached)[1]
        return torch.vmap(lambda direction: pull(direction)[0])(directions)

    # the fused attention kernels have no vectorised derivative
    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")
        found = torch.vmap(example)(inputs, columns.transpose(0, 1))
    return [FullJacobian(name, value.detach()) for name, value in found.items()]


def _split(batch: Batch) -> tuple[list[Tensor], Any]:
    """The inputs that have a row an example, and how to put them back among the arguments."""
    items = batch.items()
    keys = [key for key in items if batch.is_rows(key)]

    def place(inputs: list[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        filled = {**items, **dict(zip(keys, inputs, strict=True))}
        count = len(batch.inputs)
        return tuple(filled[at] for at in range(count)), {n: filled[n] for n in batch.named}

    return [items[key] for key in keys], place
