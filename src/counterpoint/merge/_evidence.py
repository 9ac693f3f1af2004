"""What methods are told of a model beside its weights, measured."""

import torch
from torch import Tensor, nn

from counterpoint.data import DataLike, Unpack, one_pass
from counterpoint.errors import InputError
from counterpoint.parameters import device_of, evaluating, unwrapped


def input_grams(
    model: nn.Module, data: DataLike, *, size: int = 1024, unpack: Unpack | None = None
) -> dict[str, Tensor]:
    r"""The Gram matrices :math:`\sum_n x_n x_n^\top` of the inputs of every linear layer.

    By the names of the layers' weights, in float64: the evidence of `RegMean`, a few megabytes a
    layer that are saved beside the model in the place of its rows.

    Args:
        model: called in evaluation mode.
        data: rows or batches.
        size: rows a batch, where the data have no batches of their own.
        unpack: reads a batch.

    Raises:
        InputError: the model has no linear layer.

    >>> grams = input_grams(nn.Linear(2, 1), torch.tensor([[1.0, 2.0], [1.0, 0.0]]))
    >>> grams["weight"].tolist()
    [[2.0, 2.0], [2.0, 4.0]]
    """
    bare = unwrapped(model)
    layers = {n: m for n, m in bare.named_modules() if isinstance(m, nn.Linear)}
    if not layers:
        raise InputError("grams: the model has no linear layer")
    totals: dict[str, Tensor] = {}

    def hook(name: str) -> object:
        def gather(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
            del layer
            # every position of every example is one row; in float64, since millions are added
            rows = given[0].detach().reshape(-1, given[0].shape[-1]).double()
            totals[name] = totals.get(name, 0) + rows.T @ rows

        return gather

    handles = [
        layer.register_forward_pre_hook(hook(f"{name}.weight".removeprefix(".")))  # pyright: ignore[reportArgumentType]
        for name, layer in layers.items()
    ]
    try:
        with evaluating(bare), torch.no_grad():
            for batch in one_pass(data, unpack, size):
                batch.to(device_of(bare)).call(bare)
    finally:
        for handle in handles:
            handle.remove()
    return totals
