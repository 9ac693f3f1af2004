"""When a source that has computed gradients may put them into `.grad` itself."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn.parallel import DataParallel, DistributedDataParallel

from counterpoint.balance.sources.source import Scene

__all__ = ["plain"]


def plain(scene: Scene, leaves: Sequence[Tensor]) -> bool:
    """Whether nothing but `.grad` depends on what a backward pass does to some leaves.

    Not with other ranks, wrappers, sharded weights, hooks of the leaves, or somebody else's way
    to go backward.
    """
    wrapped = isinstance(scene.model, DistributedDataParallel | DataParallel)
    if scene.ranks.count > 1 or wrapped or scene.backward is not None:
        return False
    return not any(
        leaf._backward_hooks
        or getattr(leaf, "_post_accumulate_grad_hooks", None)
        or hasattr(leaf, "to_local")
        for leaf in leaves
    )
