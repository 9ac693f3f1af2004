"""Which file reads which operation."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from counterpoint.curvature.calls.call import Arguments, Call
from counterpoint.curvature.calls.convolution import Convolution
from counterpoint.curvature.calls.embedding import Embedding
from counterpoint.curvature.calls.linear import Linear
from counterpoint.curvature.calls.normalisation import Affine
from counterpoint.curvature.calls.other import Other

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
