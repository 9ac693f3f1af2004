"""The table of layers of whatever has tensors with names."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from counterpoint.errors import InputError
from counterpoint.merge._entries import Listed
from counterpoint.merge._layers import Layer, Layers, tabulate
from counterpoint.plain import StrPath

if TYPE_CHECKING:
    from torch import Tensor

    from counterpoint.merge._state import Model, NamedState


def layers(
    source: "Model | StrPath | Iterable[Listed]", other: "Model | StrPath | None" = None
) -> Layers:
    """The numbered table of a model's layers; of two models, how far apart each is.

    Args:
        source: a module, a state dict, a weight file or folder, or a listing of names, shapes and
            types in order.
        other: a second model of the same architecture; of a file, another one.

    Raises:
        InputError: there are no tensors, or the two models differ.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> print(layers(net))
    #  layer  kind    tensors  type     parameters
    0  0      linear  2        float32  9
    1  2      head    2        float32  4
    """
    if isinstance(source, str | PathLike):
        return _of_file(source, other)
    # by its method: a module can be gone through, too, and torch need not be there to ask
    if not isinstance(source, Mapping) and not hasattr(source, "state_dict"):
        if other is not None:
            raise InputError("layers: two models are compared by their tensors, not by a listing")
        return tabulate(cast("Iterable[Listed]", source))
    # only here: a listing alone is answered without torch
    from counterpoint.merge._state import NamedState, agree

    state = NamedState.of(cast("Model", source))
    if other is None:
        return state.table()
    second = NamedState.of(cast("Model", other))
    agree([state, second])
    table = state.table()
    return Layers(tuple(_apart(layer, state, second) for layer in table), table.ties)


def _of_file(path: StrPath, other: Any) -> Layers:
    # only here: the command asks for a file's table without torch
    from counterpoint.merge.files import compared, prepare, recipe_of, table_of

    if other is None:
        return table_of(path)
    if not isinstance(other, str | PathLike):
        raise InputError(f"layers: a file is compared with a file, found {type(other).__name__}")
    return compared(prepare(recipe_of([path, other])))


def _apart(layer: Layer, one: "NamedState", two: "NamedState") -> Layer:
    pairs = [
        (one.tensors[name].detach().double(), two.tensors[name].detach().double())
        for name, entry in ((entry.name, entry) for entry in layer.entries)
        if "float" in entry.dtype
    ]
    if not pairs:
        return layer
    distance = sum(float((a - b).square().sum()) for a, b in pairs) ** 0.5
    norms = [sum(_square(pair[side]) for pair in pairs) ** 0.5 for side in (0, 1)]
    inner = sum(float((a * b).sum()) for a, b in pairs)
    cosine = inner / (norms[0] * norms[1]) if norms[0] and norms[1] else None
    return replace(layer, distance=distance, cosine=cosine)


def _square(tensor: "Tensor | Any") -> float:
    return float(tensor.square().sum())
