"""Small colour photographs."""

import io

import numpy as np
from jaxtyping import UInt8

from counterpoint.datasets._files import File, Opener, fetch, local

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
"""What the labels 0 to 9 stand for."""

_ROWS = 4000
_BATCH = File(
    "cifar10/data_batch_1.bin",
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    30730000,
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    member="cifar-10-batches-bin/data_batch_1.bin",
)
_ARRAYS = File(
    "cifar10/cifar10_lossless_train4000.npz",
    "5a3a42d44290a419b420982b8bebee85690907a7a4ec2535b9ce037d0c54d8cb",
    11335244,
    "",
)


def cifar10(
    *, opener: Opener | None = None
) -> tuple[UInt8[np.ndarray, "4000 32 32 3"], UInt8[np.ndarray, "4000"]]:
    """The first 4,000 training images of CIFAR-10 and their labels, in the published order.

    From A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). The
    download is the whole archive in its binary form (170 MB), of which the first batch is kept.

    Args:
        opener: opens a URL, if the archive must be downloaded.

    Raises:
        InputError: a file is not the published one, or is nowhere and cannot be downloaded.
    """
    # in a data folder they may lie already cut out: 11 MB, where the archive has 170
    arrays = local(_ARRAYS)
    if arrays is not None:
        with np.load(io.BytesIO(arrays), allow_pickle=False) as file:
            return file["x"], file["y"]
    images, labels = parse_records(fetch(_BATCH, opener=opener))
    return images[:_ROWS], labels[:_ROWS]


def parse_records(
    content: bytes,
) -> tuple[UInt8[np.ndarray, "rows 32 32 3"], UInt8[np.ndarray, " rows"]]:
    """Images and labels from the binary form: a label, then 1,024 reds, greens and blues."""
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    # published plane by plane; colours last is what pictures and their readers expect
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].copy()
