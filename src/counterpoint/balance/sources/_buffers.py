"""What a checkpoint does to a model's buffers while its graph is differentiated several times."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.autograd.graph import Node


def recomputes(nodes: Sequence[Node]) -> bool:
    """Whether a backward pass may run parts of the model again, as a checkpoint does.

    What is run again under a vectorised pass may do what cannot be vectorised: draw a mask, say.
    """
    # saved tensors with hooks of somebody else's: torch lists neither the hooks nor whose they are
    return any(
        getattr(saved, "unpack_hook", None) is not None
        for node in nodes
        for name in dir(node)
        if name.startswith("_raw_saved_")
        for saved in _each(getattr(node, name))
    )


class Buffers:
    """A model's buffers, put back after every pass that may run parts of it again.

    One backward pass of a loss through a checkpoint moves running statistics once more, whatever
    is asked of it; so do K passes, one a goal, with this around each of them.
    """

    def __init__(self, model: nn.Module | None) -> None:
        found = [] if model is None else [buffer.data for buffer in model.buffers()]
        # `.data` has a version of its own: a graph that saved the buffer stays good
        self._kept = [(data, data.clone(), data.clone()) for data in found]

    @contextmanager
    def passing(self) -> Generator[None, None, None]:
        """Around one pass: afterwards buffers are as before, and what it made of them is known."""
        yield
        for data, before, after in self._kept:
            # chosen on the device: each goal may run another part again, and none twice
            after.copy_(torch.where(data != before, data, after))
            data.copy_(before)

    def settle(self) -> None:
        """Where no pass follows: buffers as one pass would have left them."""
        for data, _, after in self._kept:
            data.copy_(after)


def _each(saved: object) -> Sequence[object]:
    return saved if isinstance(saved, tuple | list) else (saved,)
