"""The CRC-32 of bytes whose pieces were summed apart, in any order.

A CRC is the remainder of a polynomial over two elements; bytes that follow multiply it by a power
of x. So that of a whole is known from those of its parts without reading it (as zlib's
``crc32_combine``, which Python does not give; Adler, zlib 1.2.12).
"""

from collections.abc import Iterable
from functools import lru_cache

_POLYNOMIAL = 0xEDB88320  # of IEEE 802.3, the lowest power in the highest bit
_ONE = 1 << 31


def joined_sum(parts: Iterable[tuple[int, int]]) -> int:
    """The ``zlib.crc32`` of all parts one after the other.

    Args:
        parts: of each its ``zlib.crc32`` and how many bytes it has.

    >>> import zlib
    >>> halves = [(zlib.crc32(half), len(half)) for half in (b"count", b"erpoint")]
    >>> joined_sum(halves) == zlib.crc32(b"counterpoint")
    True
    """
    total = 0
    for checksum, size in parts:
        total = _product(total, _shift(size)) ^ checksum
    return total


@lru_cache(maxsize=64)
def _shift(size: int) -> int:
    """What so many bytes do to a sum before them: x to the power of 8 `size`, reduced."""
    power, square, left = _ONE, _ONE >> 1, 8 * size
    while left:
        if left & 1:
            power = _product(power, square)
        square, left = _product(square, square), left >> 1
    return power


def _product(one: int, two: int) -> int:
    found = 0
    for place in range(31, -1, -1):
        if one >> place & 1:
            found ^= two
        two = two >> 1 ^ (_POLYNOMIAL if two & 1 else 0)
    return found
