"""The magnitude that a share of the entries reaches, exactly, by the order of bits.

The bits of a positive float, read as an integer, are in the order of the floats: a partition of
integers finds the threshold without sorting.
"""

from collections.abc import Callable, Iterator

import numpy as np
from torch import Tensor

_SHIFT = 15
"""Leaves the upper 16 of the 31 magnitude bits of a float32: a histogram of 256 KB."""


def threshold(values: Tensor, density: float) -> float:
    """The least magnitude among the greatest ``density`` of the entries.

    ``round(density n)`` entries are at least as great, and more where several are equal to it.

    >>> import torch
    >>> threshold(torch.tensor([1.0, -4.0, 2.0, 3.0]), 0.5)
    3.0
    """
    count = round(density * values.numel())
    if not count:
        return float("inf")
    bits = _bits(values)
    place = bits.size - count
    return _value(int(np.partition(bits, place)[place]))


def threshold_of_all(parts: Callable[[], Iterator[Tensor]], density: float) -> float:
    """`threshold` of many tensors as one, which are gone through twice and never held together."""
    # the upper bits find the cell, the values in it alone are partitioned: exact in two passes
    histogram = np.zeros(1 << 16, dtype=np.int64)
    for part in parts():
        histogram += np.bincount(_bits(part) >> _SHIFT, minlength=histogram.size)
    total = int(histogram.sum())
    count = round(density * total)
    if not count:
        return float("inf")
    below = np.cumsum(histogram)
    place = total - count
    cell = int(np.searchsorted(below, place, side="right"))
    inside = [bits[bits >> _SHIFT == cell] for bits in map(_bits, parts())]
    place -= int(below[cell - 1]) if cell else 0
    return _value(int(np.partition(np.concatenate(inside), place)[place]))


def reaching(values: Tensor, least: float) -> Tensor:
    """Which values reach a threshold, compared in float32, in which it was found."""
    return values.abs().float() >= least


def _bits(values: Tensor) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    # in float32: task vectors of half precision are computed in it, and doubles need no more
    flat = values.detach().abs().float().reshape(-1).cpu().numpy()
    return flat.view(np.int32)


def _value(bits: int) -> float:
    return float(np.int32(bits).view(np.float32))
