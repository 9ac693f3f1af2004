"""Parts of a model that a balancer measures at: how they are spelt, and what they return."""

import re
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from counterpoint.errors import InputError
from counterpoint.parameters import modules

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def spelt(at: object) -> str:
    """What was given as `at`, the same in every process: of a function without its address."""
    return _ADDRESS.sub("", repr(at))


class FeatureHook:
    """The tensors with a graph that parts of a model returned since they were last taken.

    Args:
        at: which parts; see `counterpoint.parameters.modules`.

    Raises:
        InputError: it is a function: features come from modules, not from weights.
    """

    def __init__(self, at: object) -> None:
        if not isinstance(at, str | nn.Module | Sequence):
            raise InputError(
                "at: features come from parts of the model, found a"
                f" {type(at).__name__}; give a module's name, or several"
            )
        self._at: str | nn.Module | Sequence[str | nn.Module] = at
        self._caught: list[Tensor] = []
        self._around = ""

    @contextmanager
    def watching(self, model: nn.Module) -> Generator[None, None, None]:
        """Catch inside the block.

        Raises:
            InputError: the model has no part of this name.
        """
        parts = self._parts(model)
        self._caught = []
        with ExitStack() as hooks:
            for part in parts:
                hooks.callback(part.register_forward_hook(self._take_in).remove)
            yield
        self._around = "" if self._caught else _compiled_around(model, parts)

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
            where = "at=a module" if isinstance(self._at, nn.Module) else f"at={self._at!r}"
            if self._around:
                raise InputError(
                    f"{where}: it is inside {self._around}, which is compiled as one and does not"
                    " show what its parts return; name that, or compile its parts apart"
                )
            raise InputError(
                f"{where}: nothing was"
                " caught; compute the losses inside `with balancer.watching(model):`"
                " (balancer.step does), or pass features="
            )
        return found

    def _parts(self, model: nn.Module) -> list[nn.Module]:
        # a module is watched as it is: inside a compiled one it is not the one that is called
        if isinstance(self._at, nn.Module):
            return [self._at]
        try:
            return list(modules(model, self._at).values())
        except InputError as error:
            raise InputError(f"at: {error}") from None

    def _take_in(self, module: nn.Module, inputs: Any, output: Any) -> None:
        del module, inputs
        leaves = pytree.tree_leaves(output)  # a part may return a tuple, a dict, an object of both
        self._caught += [v for v in leaves if isinstance(v, Tensor) and v.grad_fn is not None]


def _compiled_around(model: nn.Module, parts: Sequence[nn.Module]) -> str:
    """What is compiled as one and has all parts inside it; "" if nothing is."""
    for name, module in model.named_modules():
        inner = getattr(module, "_orig_mod", module)
        # `module.compile()` compiles in place, `torch.compile(module)` wraps
        compiled = inner is not module or getattr(module, "_compiled_call_impl", None) is not None
        inside = {id(one) for one in inner.modules()} - {id(inner)}
        if compiled and all(id(part) in inside for part in parts):
            return repr(name) if name else "the model"
    return ""
