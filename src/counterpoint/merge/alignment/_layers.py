"""What runs along the output of a layer, by its class."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn.modules import activation, dropout, padding, pooling
from torch.nn.modules.batchnorm import _NormBase as NormBase  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import _ConvNd as Conv  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import (
    _ConvTransposeNd as ConvTranspose,  # pyright: ignore[reportPrivateUsage]
)

from counterpoint.merge.alignment._channels import Channels, Ledger, Sides, UnitAxis
from counterpoint.merge.alignment._operations import Argument, around, flattened

_Answer: TypeAlias = Sides | list[Sides] | None
_ALONG = {activation.__name__, dropout.__name__}
"""Modules of torch whose layers treat all units alike."""

_AROUND = {pooling.__name__, padding.__name__}
"""Modules whose layers treat all channels alike, and mix what is along the last dimensions."""


def read_layer(
    module: nn.Module, label: str, given: Sequence[Argument], value: Any, ledger: Ledger
) -> _Answer:
    """What runs along a layer's output; none where its class is not read.

    Args:
        module: the layer.
        label: its path.
        given: what it is called with.
        value: what it returned.
        ledger: where its tensors are written down.
    """
    for kinds, read in _READ:
        if isinstance(module, kinds):
            return read(module, label, given, value, ledger)
    if type(module).__module__ in _ALONG or isinstance(module, nn.Identity):
        return given[0].side
    kind = type(module)
    return around(given[0], kind.__name__) if kind.__module__ in _AROUND else None


def _linear(
    layer: nn.Linear, label: str, given: Sequence[Argument], value: Tensor, ledger: Ledger
) -> _Answer:
    del value
    (argument,) = given
    last = argument.value.ndim - 1
    ledger.tie(layer.weight, 1, argument.side.get(last))
    made = ledger.made(layer.weight, 0, layer.out_features, label, UnitAxis())
    ledger.tie(layer.bias, 0, made)
    return {**argument.side, last: made}


def _embedding(
    layer: nn.Embedding, label: str, given: Sequence[Argument], value: Tensor, ledger: Ledger
) -> _Answer:
    del given
    # which row is which word is not ours to change
    ledger.tie(layer.weight, 0, None)
    return {value.ndim - 1: ledger.made(layer.weight, 1, layer.embedding_dim, label, UnitAxis())}


def _convolution(
    layer: Conv, label: str, given: Sequence[Argument], value: Tensor, ledger: Ledger
) -> _Answer:
    place = value.ndim - len(layer.kernel_size) - 1
    inside = given[0].side.get(place)
    incoming, outgoing = (0, 1) if isinstance(layer, ConvTranspose) else (1, 0)
    if layer.groups == 1:
        ledger.tie(layer.weight, incoming, inside)
        made = ledger.made(layer.weight, outgoing, layer.out_channels, label, UnitAxis())
        ledger.tie(layer.bias, 0, made)
        return {place: made}
    if layer.groups != layer.in_channels or isinstance(layer, ConvTranspose):
        return None
    # one filter or several of its own a channel: they go where the channel goes
    if inside is None:
        return {}
    span = layer.out_channels // layer.in_channels
    outside = Channels(inside.units, UnitAxis(inside.axis.copies, inside.axis.span * span))
    ledger.tie(layer.weight, 0, outside)
    ledger.tie(layer.bias, 0, outside)
    return {place: outside}


def _batch_norm(
    layer: NormBase, label: str, given: Sequence[Argument], value: Tensor, ledger: Ledger
) -> _Answer:
    del label, value
    inside = given[0].side.get(1)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        ledger.tie(tensor, 0, inside)
    return given[0].side


def _layer_norm(
    layer: nn.LayerNorm | nn.RMSNorm,
    label: str,
    given: Sequence[Argument],
    value: Tensor,
    ledger: Ledger,
) -> _Answer:
    del label
    lead = value.ndim - len(layer.normalized_shape)
    for tensor in (layer.weight, getattr(layer, "bias", None)):
        for dimension in range(value.ndim - lead):
            ledger.tie(tensor, dimension, given[0].side.get(lead + dimension))
    return given[0].side


def _group_norm(
    layer: nn.GroupNorm, label: str, given: Sequence[Argument], value: Tensor, ledger: Ledger
) -> _Answer:
    del label, value
    if layer.num_groups not in (1, layer.num_channels):
        return None  # channels of one group are interchangeable, and groups are: not read
    for tensor in (layer.weight, layer.bias):
        ledger.tie(tensor, 0, given[0].side.get(1))
    return given[0].side


def _prelu(
    layer: nn.PReLU, label: str, given: Sequence[Argument], value: Tensor, ledger: Ledger
) -> _Answer:
    del label, value
    if layer.num_parameters > 1:
        ledger.tie(layer.weight, 0, given[0].side.get(1))
    return given[0].side


def _attention(
    layer: nn.MultiheadAttention, label: str, given: Sequence[Argument], value: Any, ledger: Ledger
) -> _Answer:
    parts, last = given[:3], value[0].ndim - 1
    one_width = layer.kdim == layer.vdim == layer.embed_dim
    if not one_width or layer.bias_k is not None:
        return None
    for part in parts:
        ledger.tie(layer.in_proj_weight, 1, part.side.get(last))
    # whole heads change places: queries, keys and values lie one after the other
    heads = ledger.made(
        layer.in_proj_weight, 0, layer.num_heads, f"{label} heads", UnitAxis(3, layer.head_dim)
    )
    ledger.tie(layer.in_proj_bias, 0, heads)
    ledger.tie(layer.out_proj.weight, 1, Channels(heads.units, UnitAxis(1, layer.head_dim)))
    # the output is in the order of the residual stream, which the sum will join it with
    made = ledger.made(layer.out_proj.weight, 0, layer.embed_dim, label, UnitAxis())
    ledger.tie(layer.out_proj.bias, 0, made)
    return [{last: made}, {}]


def _flatten(
    layer: nn.Flatten, label: str, given: Sequence[Argument], value: Tensor, ledger: Ledger
) -> _Answer:
    del label, value, ledger
    return flattened(given[0], layer.start_dim, layer.end_dim)


_READ: tuple[tuple[Any, Callable[..., _Answer]], ...] = (
    (nn.Linear, _linear),
    (nn.Embedding, _embedding),
    (Conv, _convolution),
    (NormBase, _batch_norm),
    ((nn.LayerNorm, nn.RMSNorm), _layer_norm),
    (nn.GroupNorm, _group_norm),
    (nn.PReLU, _prelu),
    (nn.MultiheadAttention, _attention),
    (nn.Flatten, _flatten),
    (nn.Upsample, lambda _m, _l, given, _v, _k: around(given[0], "interpolate")),
    (nn.GLU, lambda *_: None),  # halves of the units are not alike
)
"""Classes and what reads them; the first that fits."""
