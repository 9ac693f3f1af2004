"""The modes of a model's modules, and the device that it is on."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def modes_kept(model: nn.Module) -> Generator[None, None, None]:
    """Give every submodule its training or evaluation mode back at the end.

    Args:
        model: whose modes may change inside the block.
    """
    # each module's own: a frozen batch norm in a model that trains stays as it was
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def evaluating(model: nn.Module) -> Generator[None, None, None]:
    """The model in evaluation mode, every module's own mode put back afterwards.

    Args:
        model: what is evaluated inside the block.

    >>> net = nn.Dropout()
    >>> with evaluating(net):
    ...     inside = net.training
    >>> inside, net.training
    (False, True)
    """
    with modes_kept(model):
        model.eval()
        yield


def device_of(model: nn.Module) -> torch.device:
    """Where the model's first parameter or buffer is; the CPU when it has none.

    Args:
        model: any module.

    >>> device_of(nn.Linear(2, 1, device="meta"))
    device(type='meta')
    """
    for tensor in model.parameters():
        return tensor.device
    for tensor in model.buffers():
        return tensor.device
    return torch.device("cpu")
