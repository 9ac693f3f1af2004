"""Random numbers in the shape of an output, from a generator on any device."""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor


def normals(
    like: Float[Tensor, "batch ..."], generator: torch.Generator
) -> Float[Tensor, "batch ..."]:
    """Standard normal numbers in the shape and type and on the device of `like`."""
    device = generator.device
    drawn = torch.randn(like.shape, generator=generator, dtype=like.dtype, device=device)
    return drawn.to(like.device)


def uniforms(
    like: Float[Tensor, "batch ..."], generator: torch.Generator
) -> Float64[Tensor, "batch ..."]:
    """Numbers from 0 up to but not including 1, float64, in the shape and on the device of `like`.

    In float32 they would be multiples of 2**-24, and events rarer than that too common.
    """
    device = generator.device
    drawn = torch.rand(like.shape, generator=generator, dtype=torch.float64, device=device)
    return drawn.to(like.device)


def gammas(
    like: Float[Tensor, "batch ..."], number: float, generator: torch.Generator
) -> Float64[Tensor, "batch ..."]:
    """Gamma numbers of shape `number` and scale 1, float64, in the shape and device of `like`."""
    # torch takes a generator for these in no public function; a seed drawn from it is as good
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    drawn = np.random.default_rng(int(seed)).standard_gamma(number, tuple(like.shape))
    return torch.from_numpy(np.asarray(drawn)).to(like.device)
