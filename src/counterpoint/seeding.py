"""Randomness from one seed, leaving the caller's random state as it was.

torch modules draw initial weights and dropout masks from torch's global generators, so a library
that promises reproducible fits must seed them; `seeded` does so inside a fork and puts the
caller's state back.

>>> import torch
>>> before = torch.get_rng_state()
>>> with seeded(0):
...     a = torch.rand(2)
>>> with seeded(0):
...     torch.equal(a, torch.rand(2))
True
>>> torch.equal(before, torch.get_rng_state())
True
"""

import os
from collections.abc import Generator
from contextlib import contextmanager

import torch

__all__ = ["derive", "generator", "seeded", "threads"]


@contextmanager
def seeded(seed: int) -> Generator[None, None, None]:
    """Run a block with torch's global generators seeded, then restore them.

    Args:
        seed: any integer from 0 to 2**63 - 1.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def threads(count: int) -> Generator[None, None, None]:
    """Run a block with so many threads a tensor operation, then restore the number.

    The bits of a sum depend on how many threads share it, and steps of small networks are too
    short to be shared: on a busy machine threads that wait for one another make them many times
    slower.

    Args:
        count: at least 1.
    """
    before = torch.get_num_threads()
    # a model of another machine may ask for more than this one has, and libgomp ends the process
    # where it cannot start them
    torch.set_num_threads(min(count, os.cpu_count() or 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def derive(seed: int, *keys: int) -> int:
    """A seed of its own for each (seed, keys): epochs, shuffles and splits never share a stream.

    Args:
        seed: the run's seed.
        keys: what the stream is for, such as (purpose, epoch).

    Returns:
        An integer from 0 to 2**63 - 1 (SplitMix64 folded over the keys).

    >>> derive(0, 1) == derive(0, 1), derive(0, 1) == derive(0, 2)
    (True, False)
    """
    state = seed
    for key in (*keys, len(keys)):
        state = (state + key + 0x9E3779B97F4A7C15) % 2**64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) % 2**64
        state ^= state >> 31
    return state % 2**63


def generator(seed: int, *keys: int) -> torch.Generator:
    """A fresh CPU generator for the stream that `derive` names.

    >>> torch.rand(1, generator=generator(3)).item() == torch.rand(1, generator=generator(3)).item()
    True
    """
    return torch.Generator().manual_seed(derive(seed, *keys))
