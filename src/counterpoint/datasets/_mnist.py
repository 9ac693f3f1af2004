"""Handwritten digits."""

import gzip
import struct
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from counterpoint.datasets._files import File, Opener, fetch
from counterpoint.errors import InputError

_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FILES = [
    File("mnist/" + name, sha256, size, _URL + name)
    for name, sha256, size in (
        (
            "train-images-idx3-ubyte.gz",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            9912422,
        ),
        (
            "train-labels-idx1-ubyte.gz",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            28881,
        ),
        (
            "t10k-images-idx3-ubyte.gz",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            1648877,
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            4542,
        ),
    )
]


@dataclass(frozen=True)
class MNIST:
    """70,000 grey images of digits, 0 (white paper) to 255 (ink), with their labels 0 to 9."""

    train_images: UInt8[np.ndarray, "60000 28 28"]
    train_labels: UInt8[np.ndarray, "60000"]
    test_images: UInt8[np.ndarray, "10000 28 28"]
    test_labels: UInt8[np.ndarray, "10000"]


def mnist(*, opener: Opener | None = None) -> MNIST:
    """The MNIST database of Y. LeCun, C. Cortes and C. J. C. Burges, in its original split.

    Args:
        opener: opens a URL, if a file must be downloaded.

    Raises:
        InputError: a file is not the published one, or is nowhere and cannot be downloaded.
    """
    return MNIST(*(parse_idx(gzip.decompress(fetch(file, opener=opener))) for file in _FILES))


def parse_idx(content: bytes) -> UInt8[np.ndarray, "..."]:
    """An array of bytes from the IDX format; another type or length is refused."""
    # two zeros, the type (8: unsigned byte) and the number of axes; then their lengths, big-endian
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise InputError(f"idx: expected a header of unsigned bytes, found {content[:4]!r}")
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    body = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    if body.size != int(np.prod(shape)):
        raise InputError(f"idx: expected {shape} values, found {body.size}")
    return body.reshape(shape)
