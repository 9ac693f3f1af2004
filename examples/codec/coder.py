"""Bytes: each image's rounded latent through a range coder, and back."""

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from codec.network import Codec, surprise, whole
from counterpoint.errors import InputError

LARGEST = 255
"""No rounded number is farther from 0."""


def range_coder() -> ModuleType:
    """The library of entropy coders.

    Raises:
        InputError: it is not installed.
    """
    try:
        import constriction
    except ImportError as error:
        raise InputError(
            "compress: the range coder is in 'constriction'; pip install 'counterpoint[examples]'"
        ) from error
    return constriction


class Scribe:
    """A trained codec at one scale of its rounding steps, ready to write and to read.

    Both sides have to agree on each probability to the last bit, or all that follows is lost. So
    the expectations are computed in float64 and then cut to a grid: what another batch size or
    processor does to the last digits of a float64 does not show on it.

    Args:
        codec: a trained one.
        finer: what all gains are multiplied by: 2 halves the rounding steps.
    """

    def __init__(self, codec: Codec, finer: float = 1.0) -> None:
        self.codec = codec
        self.shape = codec.shape
        self._expects = copy.deepcopy(codec.expects).double()
        self._gain = (codec.log_gain.detach().exp() * finer).double()
        self._log_gain = self._gain.log()

    @torch.no_grad()
    def rounded(self, images: Tensor) -> Tensor:
        """The whole numbers that are coded, (rows, grid, grid, kept)."""
        scaled = self.codec.latent(images).double() * self._gain
        return whole(scaled).clamp(-LARGEST, LARGEST)

    @torch.no_grad()
    def images(self, numbers: Tensor) -> Tensor:
        """What whole numbers stand for, between 0 and 1."""
        return self.codec.images((numbers / self._gain).float()).clamp(0.0, 1.0)

    @torch.no_grad()
    def ideal(self, numbers: Tensor) -> Tensor:
        """Bytes of each image by the probabilities alone, (rows,)."""
        middle, width = self._spread(*self._expects(numbers / self._gain))
        return surprise(numbers, middle, width.log()).flatten(1).sum(1) / 8

    @torch.no_grad()
    def encode(self, images: Tensor) -> list[bytes]:
        """One stream an image."""
        numbers = self.rounded(images)
        middle, width = self._spread(*self._expects(numbers / self._gain))
        coders = range_coder().stream
        family, streams = coders.model.QuantizedLaplace(-LARGEST, LARGEST), list[bytes]()
        columns = [_flat(values) for values in (numbers, middle, width / 2**0.5)]
        for symbols, centre, scale in zip(*columns, strict=True):
            encoder = coders.queue.RangeEncoder()
            encoder.encode(symbols.astype(np.int32), family, centre, scale)
            streams.append(encoder.get_compressed().tobytes())
        return streams

    @torch.no_grad()
    def decode(self, streams: Sequence[bytes]) -> Tensor:
        """The whole numbers again, block by block and group by group, of all images at once."""
        coders, grid = range_coder().stream, self.shape.grid
        family = coders.model.QuantizedLaplace(-LARGEST, LARGEST)
        words = [np.frombuffer(stream, np.uint32) for stream in streams]
        decoders = [coders.queue.RangeDecoder(each) for each in words]
        numbers = torch.zeros(len(streams), grid, grid, self.shape.kept, dtype=torch.float64)
        for place in range(grid * grid):
            row, column = divmod(place, grid)
            here = numbers[:, row, column]
            self._decode_block(decoders, family, numbers, here, (row, column))
        return numbers

    def _decode_block(
        self,
        decoders: Sequence[object],
        family: object,
        numbers: Tensor,
        here: Tensor,
        at: tuple[int, int],
    ) -> None:
        around = self._expects.surroundings(numbers / self._gain, at)
        felt, near = (part[:, 0, 0] for part in around)
        edges = self.shape.groups
        for group, (start, end) in enumerate(pairwise(edges)):
            known = here / self._gain
            part = slice(start, end)
            middle, width = self._spread(*self._expects.group(group, (felt, near), known), part)
            pairs = zip(decoders, middle.numpy(), (width / 2**0.5).numpy(), strict=True)
            found = [decoder.decode(family, centre, scale) for decoder, centre, scale in pairs]
            here[:, part] = torch.tensor(np.stack(found), dtype=torch.float64)

    def _spread(
        self, middle: Tensor, log_width: Tensor, part: slice = slice(None)
    ) -> tuple[Tensor, Tensor]:
        """Middles and widths in units of rounding steps, on a grid."""
        middle = (middle * self._gain[part] * 256).round() / 256
        log_width = ((log_width + self._log_gain[part]).clamp(-4.0, 8.0) * 64).round() / 64
        return middle, log_width.exp()


def _flat(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.flatten(1).numpy())


def finer_for(budget: float, spent: Callable[[float], float]) -> float:
    """The scale of rounding steps at which `spent` bytes are the budget or just below it."""
    low, high = 2.0**-5, 2.0**5
    for _ in range(10):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if spent(middle) <= budget else (low, middle)
    return low
