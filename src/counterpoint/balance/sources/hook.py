"""Catching what a named part of a model returns."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from counterpoint.errors import InputError, nearest
from counterpoint.parameters import unwrapped

__all__ = ["FeatureHook"]


class FeatureHook:
    """The tensors with a graph that one part of a model returned since they were last taken.

    Args:
        at: the part, or its name in the model.

    Raises:
        InputError: it is neither.
    """

    def __init__(self, at: object) -> None:
        if not isinstance(at, str | nn.Module):
            raise InputError("at: features come from one part of the model; give its name")
        self._at = at
        self._caught: list[Tensor] = []

    @contextmanager
    def watching(self, model: nn.Module) -> Generator[None, None, None]:
        """FeatureHook inside the block.

        Raises:
            InputError: the model has no part of this name.
        """
        handle = self._part(unwrapped(model)).register_forward_hook(self._take_in)
        self._caught = []
        try:
            yield
        finally:
            handle.remove()

    def take(self, *, wanted: bool = True) -> tuple[Tensor, ...]:
        """What was caught; it is then let go.

        Args:
            wanted: whether it is needed; if not, nothing need have been caught.

        Raises:
            InputError: nothing was caught, and it is wanted.
        """
        found, self._caught = tuple(self._caught), []
        if not wanted:
            return ()
        if not found:
            raise InputError(
                f"at={self._at if isinstance(self._at, str) else 'a module'!r}: nothing was caught;"
                " compute the losses inside `with balancer.watching(model):` (balancer.step does),"
                " or pass features="
            )
        return found

    def _part(self, model: nn.Module) -> nn.Module:
        if isinstance(self._at, nn.Module):
            return self._at
        parts = dict(model.named_modules())
        if self._at not in parts:
            raise InputError(f"at: the model has no part {self._at!r}{nearest(self._at, parts)}")
        return parts[self._at]

    def _take_in(self, module: nn.Module, inputs: Any, output: Any) -> None:
        del module, inputs
        leaves = pytree.tree_leaves(output)  # a part may return a tuple, a dict, an object of both
        self._caught += [v for v in leaves if isinstance(v, Tensor) and v.grad_fn is not None]
