"""How far two weight files are apart, layer by layer, in one pass over both."""

from dataclasses import replace

import torch

from counterpoint.checkpoints import ITEM_SIZES, Checkpoint, Reader
from counterpoint.merge._layers import Layer, Layers
from counterpoint.merge.files._compute import TYPES
from counterpoint.merge.files._prepared import PreparedMerge

_PIECE = 1 << 18  # elements, in float64


def compared(prepared: PreparedMerge) -> Layers:
    """The table of layers, with distance and cosine between two sources.

    Sums are taken in float64, piece by piece, so that no tensor is ever in memory.
    """
    with Reader() as reader:
        one, two = prepared.sources
        rows = tuple(_apart(layer, one, two, reader) for layer in prepared.table)
    return Layers(rows, prepared.table.ties)


def _apart(layer: Layer, one: Checkpoint, two: Checkpoint, reader: Reader) -> Layer:
    sums = torch.zeros(4, dtype=torch.float64)
    for entry in layer.entries:
        if "float" in entry.dtype:
            sums += _sums(entry.name, one, two, reader)
    apart, first, second, inner = sums.tolist()
    if not any("float" in entry.dtype for entry in layer.entries):
        return layer
    cosine = inner / (first * second) ** 0.5 if first and second else None
    return replace(layer, distance=apart**0.5, cosine=cosine)


def _sums(name: str, one: Checkpoint, two: Checkpoint, reader: Reader) -> torch.Tensor:
    """Of squares of the difference and of both, and of products."""
    # float64: differences of a billion weights cancel in float32
    sums = torch.zeros(4, dtype=torch.float64)
    elements = one.tensors[name].elements
    for first in range(0, elements, _PIECE):
        count = min(_PIECE, elements - first)
        pair = list[torch.Tensor]()
        for source in (one, two):
            stored = source.tensors[name]
            item = ITEM_SIZES[stored.dtype]
            content = torch.empty(count * item, dtype=torch.uint8)
            reader.read(stored, first * item, content.numpy().data)
            pair.append(content.view(TYPES[stored.dtype]).double())
        a, b = pair
        sums += torch.stack([(a - b).square().sum(), a @ a, b @ b, a @ b])
    return sums
