"""What identifies an input: a hash of every tensor's bytes, taken while they are read."""

import hashlib
from collections.abc import Mapping, Sequence

from counterpoint.checkpoints import StoredTensor

SIZE = 32
"""Bytes of a digest (SHA-256)."""


def joined(chunks: Sequence[bytes]) -> bytes:
    """The digest of a tensor from those of its chunks, which are hashed in any order."""
    return hashlib.sha256(b"".join(chunks)).digest()


def of_source(tensors: Mapping[str, bytes], stored: Mapping[str, StoredTensor]) -> str:
    """The digest of a source from those of its tensors: names, types and shapes go in, too.

    It is of contents, not of files: the same tensors in one file or in shards have the same.
    """
    whole = hashlib.sha256()
    for name in sorted(tensors):
        tensor = stored[name]
        whole.update(f"{name}\0{tensor.dtype}\0{tensor.shape}\0".encode())
        whole.update(tensors[name])
    return whole.hexdigest()
