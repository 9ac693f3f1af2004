"""When a source that has computed all gradients may put them into `.grad` itself."""

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from counterpoint.balance.ranks import Ranks

__all__ = ["plain"]


def plain(model: nn.Module, ranks: Ranks) -> bool:
    """Whether nothing but `.grad` depends on a backward pass through the model.

    Not with other ranks, wrappers, sharded weights, or hooks of weights or modules.
    """
    if ranks.count > 1 or isinstance(model, DistributedDataParallel | DataParallel):
        return False
    for module in model.modules():
        if _has(module, "_backward_hooks", "_backward_pre_hooks"):
            return False
        for weight in module.parameters(recurse=False):
            if _has(weight, "_backward_hooks", "_post_accumulate_grad_hooks", "to_local"):
                return False
    return True


def _has(thing: object, *names: str) -> bool:
    return any(getattr(thing, name, None) for name in names)
