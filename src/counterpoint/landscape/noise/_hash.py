"""Random numbers that are a function of where they stand: of a seed, a layer and a lattice point.

The same few lines of 32-bit arithmetic run in the lab's page, in the reader's browser; so noise of
one seed is the same field here and there, and needs no table that somebody would have to send.
"""

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def mixed(state: Tensor | int, value: Tensor | int) -> Tensor:
    """One more number folded into a hash: int64 in 0 … 2^32 - 1, elementwise.

    The finaliser of MurmurHash3 (Appleby 2011), whose every output bit depends on every input bit.
    """
    # low 32 bits of a product survive int64's wrap-around; masks keep the words unsigned
    word = (torch.as_tensor(state) ^ torch.as_tensor(value)) & _MASK
    word = (word + 0x9E3779B9) & _MASK  # so that 0 is no fixed point
    word = ((word ^ (word >> 16)) * 0x85EBCA6B) & _MASK
    word = ((word ^ (word >> 13)) * 0xC2B2AE35) & _MASK
    return word ^ (word >> 16)


def uniforms(words: Tensor) -> Tensor:
    """In (0, 1), float64: the middles of 2^32 equal steps."""
    return (words.double() + 0.5) / 2.0**32


def directions(words: Tensor, dimension: int) -> Tensor:
    """A unit vector a hash, uniform over the sphere: float64 (..., d); in one dimension a sign.

    Normal numbers by pairs (Box and Muller 1958), divided by their length; in the plane that is
    ``(cos, sin)`` of a uniform angle.
    """
    pairs = (dimension + 1) // 2
    # every axis has a counter of its own, so that no two of a vector's numbers share a hash
    counter = torch.arange(pairs)
    radius = (-2 * uniforms(mixed(words[..., None], 2 * counter + 1)).log()).sqrt()
    angle = 2 * torch.pi * uniforms(mixed(words[..., None], 2 * counter + 2))
    normal = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
    vector = normal.flatten(-2)[..., :dimension]
    return vector / vector.norm(dim=-1, keepdim=True)
