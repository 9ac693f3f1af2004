"""The model inside the wrappers that torch puts around one."""

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from counterpoint.errors import InputError


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's own module, under whose names weights are known.

    `DistributedDataParallel`, `DataParallel` and `torch.compile` put a prefix before every name;
    wrappers around wrappers are taken off one by one. FSDP2 (``fully_shard``) keeps the module and
    its names.

    Args:
        model: the module, wrapped or not.

    Raises:
        InputError: the model is no module.

    >>> net = nn.Linear(2, 1)
    >>> unwrapped(nn.DataParallel(net)) is net
    True
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(
            f"model: expected a torch.nn.Module, found {type(model).__name__}; "
            "wrap a function in one"
        )
    while True:
        if isinstance(model, DistributedDataParallel | DataParallel):
            model = model.module
            continue
        # by its attribute: the class is private to torch, and its import is that of the compiler
        inner = dict(model.named_children()).get("_orig_mod")
        if inner is None:
            return model
        model = inner
