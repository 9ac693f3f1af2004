"""Which file reads which operation."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from counterpoint.curvature.reading.calls.call import Arguments, Call
from counterpoint.curvature.reading.calls.convolution import Convolution
from counterpoint.curvature.reading.calls.embedding import Embedding
from counterpoint.curvature.reading.calls.linear import Linear
from counterpoint.curvature.reading.calls.normalisation import Affine
from counterpoint.curvature.reading.calls.other import Other

__all__ = ["read"]

_READERS: dict[Callable[..., Any], Callable[[Arguments], Call | None]] = {
    functional.linear: Linear.read,
    torch.conv1d: Convolution.read,
    torch.conv2d: Convolution.read,
    torch.conv3d: Convolution.read,
    functional.embedding: Embedding.read,
    functional.layer_norm: Affine.layer,
    functional.rms_norm: Affine.rms,
    functional.group_norm: Affine.group,
    functional.batch_norm: Affine.batch,
}


def read(arguments: Arguments) -> Call | None:
    """The operation as a `Call`, or none where it can only be taken with the whole model."""
    reader = _READERS.get(arguments.function)
    return (reader(arguments) if reader else None) or Other.read(arguments)
