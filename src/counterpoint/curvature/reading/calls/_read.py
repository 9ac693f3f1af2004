"""Which file reads which operation."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from counterpoint.curvature.reading.calls._call import Arguments, Call
from counterpoint.curvature.reading.calls._convolution import Convolution
from counterpoint.curvature.reading.calls._embedding import Embedding
from counterpoint.curvature.reading.calls._linear import Linear
from counterpoint.curvature.reading.calls._normalisation import Affine
from counterpoint.curvature.reading.calls._other import Other

_READERS: dict[Callable[..., Any], Callable[[Arguments], Call | None]] = {
    functional.linear: Linear.read,
    torch.matmul: Linear.read_product,
    torch.Tensor.matmul: Linear.read_product,
    torch.mm: Linear.read_product,
    torch.Tensor.mm: Linear.read_product,
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
    found = reader(arguments) if reader else None
    # a transposed weight is no argument that could be put in another's place
    return found or (None if arguments.turned() else Other.read(arguments))
