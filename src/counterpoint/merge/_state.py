"""Models as named tensors: modules and state dicts, read in one way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase as NormBase  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import _ConvNd as Conv  # pyright: ignore[reportPrivateUsage]

from counterpoint.checkpoints import plain_names, state_path, which_state
from counterpoint.errors import InputError, nearest
from counterpoint.merge._entries import TensorEntry
from counterpoint.merge._layers import Layers, tabulate
from counterpoint.parameters import unwrapped

Model: TypeAlias = nn.Module | Mapping[str, Any]
"""What is merged: a module, or a state dict as `state_dict` gives it."""

_CLASSES: dict[str, tuple[type[nn.Module], ...]] = {
    "embedding": (nn.Embedding, nn.EmbeddingBag),
    "norm": (NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm),
    "convolution": (Conv,),
    "attention": (nn.MultiheadAttention,),
    "linear": (nn.Linear,),
}


@dataclass(frozen=True)
class NamedState:
    """A model's tensors under plain names.

    Attributes:
        tensors: name -> tensor, tied ones once.
        ties: another name of a tensor -> the one under which it is known.
        keys: plain name -> the name that the model itself has for it; of all.
        kinds: a layer's path -> its kind, where a module says so.
        buffers: names of tensors that are no parameters, where a module says so.
    """

    tensors: dict[str, Tensor]
    ties: dict[str, str]
    keys: dict[str, str]
    kinds: dict[str, str]
    buffers: frozenset[str]

    @classmethod
    def of(cls, model: Model) -> "NamedState":
        """Read a module or a state dict.

        Raises:
            InputError: it is neither, or has something that is no dense tensor (names it).
        """
        if isinstance(model, nn.Module):
            bare = unwrapped(model)
            # kept as they are: a tensor that was detached is another object, tied or not
            found = bare.state_dict(keep_vars=True)
            kinds = {_plain(name): _kind(module) for name, module in bare.named_modules()}
            buffers = frozenset(_plain(name) for name, _ in bare.named_buffers())
        elif isinstance(model, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            found, kinds, buffers = _unwrapped(model), dict[str, str](), frozenset[str]()
        else:
            raise InputError(
                f"merge: expected a module or a state dict, found {type(model).__name__}"
            )
        # what is around a module was taken off; in a state dict it has left its name
        _refuse_odd(found)
        keys = plain_names(found, "merge", front=not isinstance(model, nn.Module))
        tensors, ties = _untied({name: found[key] for name, key in keys.items()})
        return cls(tensors, ties, keys, kinds, buffers)

    def __getitem__(self, name: str) -> Tensor:
        """A tensor by any of its names."""
        return self.tensors[self.ties.get(name, name)]

    def under(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Tensors by names of another model's, which may be tied in another way."""
        return {name: self[name] for name in names}

    def table(self) -> Layers:
        """The numbered layers."""
        entries = [
            TensorEntry(
                name,
                tuple(tensor.shape),
                str(tensor.dtype),
                self.kinds.get(name.rpartition(".")[0], ""),
                name in self.buffers,
            )
            for name, tensor in self.tensors.items()
        ]
        return tabulate(entries, ties=self.ties)


def agree(states: Sequence[NamedState]) -> None:
    """Refuse models that are not of one architecture, or are tied differently.

    Raises:
        InputError: names what is missing, unexpected, of another shape, or tied in one alone.
    """
    first = states[0]
    for place, other in enumerate(states[1:], 2):
        apart = {
            alias: name
            for alias, name in first.ties.items()
            if alias in other.tensors and not torch.equal(other.tensors[alias], other[name])
        }
        if apart:
            alias, name = next(iter(apart.items()))
            raise InputError(
                f"merge: {name!r} and {alias!r} are one tensor in model 1 and two different ones in"
                f" model {place}; untie the first, or take the same architecture"
            )
        wanted = {name: first[name] for name in first.keys}
        found = {name: other[name] for name in other.keys}
        complaints = _differences(wanted, found)
        if complaints:
            raise InputError(f"merge: model {place} is not built like model 1: {complaints}")


def _differences(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    parts = list[str]()
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    shaped = [
        f"{name} {tuple(found[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    for what, names in (("lacks", missing), ("has besides", extra), ("has of other shape", shaped)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"it {what} {', '.join(names[:3])}{more}")
    if len(missing) == 1 and len(extra) > 1:
        parts.append(nearest(missing[0], extra).lstrip("; "))
    return "; ".join(parts)


def _unwrapped(found: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict itself where it is kept beside other things."""
    modules = {
        key: unwrapped(value).state_dict(keep_vars=True) if isinstance(value, nn.Module) else value
        for key, value in found.items()
    }
    inside: Any = modules
    for key in state_path(modules, _is_tensor):
        inside = inside[key]
    return dict(cast(Mapping[str, Any], inside))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _refuse_odd(found: Mapping[str, Any]) -> None:
    for name, tensor in found.items():
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"merge: names of tensors are texts, found {name!r}")
        if not isinstance(tensor, Tensor):
            which = which_state(found, _is_tensor)
            raise InputError(f"merge: {name!r} is no tensor but {type(tensor).__name__}{which}")
        if tensor.is_nested:
            raise InputError(f"merge: {name!r} is a nested tensor; convert it first")
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise InputError(f"merge: {name!r} is sparse or quantised; convert it first")
    if not found:
        raise InputError("merge: the model has no tensor")


def _untied(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors that are the same memory once, under the first name."""
    known = dict[tuple[object, ...], str]()
    once, ties = dict[str, Tensor](), dict[str, str]()
    # by place, shape and stride: two views of one storage may be different weights
    for name, tensor in tensors.items():
        if not tensor.numel() or tensor.device.type == "meta":
            once[name] = tensor
            continue
        place = (tensor.data_ptr(), tensor.device, tensor.shape, tensor.stride(), tensor.dtype)
        first = known.setdefault(place, name)
        if first == name:
            once[name] = tensor
        else:
            ties[name] = first
    return once, ties


def _kind(module: nn.Module) -> str:
    for kind, classes in _CLASSES.items():
        if isinstance(module, classes):
            return kind
    return ""


def _plain(name: str) -> str:
    return next(iter(plain_names([name], "merge", front=False)))
