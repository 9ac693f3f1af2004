"""Constructed failures, one run a seed, and what each is to be named."""

import torch

from balance.monitor.fields import bowls, funnels, perlin, random_start, trap, uniform, wall, waves
from balance.monitor.runs import (
    Networks,
    descend,
    impartial,
    largest,
    magnitude,
    mean,
    mixed,
    one,
    sampled,
    train,
)


def desert_waves(seeds, steps=900):
    return _waves(seeds, steps, 4.5, 6.0)


def desert_caught(seeds, steps=900):
    """At a lower rate some of the walks are caught by one basin, and jitter there."""
    return _waves(seeds, steps, 3.0, 4.5)


def _waves(seeds, steps, low, high):
    g = mixed(seeds)
    rate, start = uniform(g, low, high, len(seeds), 1), random_start(g, len(seeds), 2, 3)
    return descend(waves(len(seeds), 4, 2, 6, g), start, one, rate, steps, g)


def desert_perlin(seeds, steps=900):
    g = mixed(seeds)
    start = uniform(g, 0, 6, len(seeds), 2)
    rate = uniform(g, 0.7, 1.1, len(seeds), 1)
    return descend(perlin(len(seeds), 3, g), start, one, rate, steps, g)


def desert_sampled(seeds, steps=900):
    g = mixed(seeds)
    start = uniform(g, 0, 6, len(seeds), 2)
    rate = uniform(g, 0.9, 1.2, len(seeds), 1)
    return descend(perlin(len(seeds), 5, g), start, sampled, rate, steps, g)


def desert_wide(seeds, steps=700):
    """2,000 weights, all of them in the sketch."""
    g = mixed(seeds)
    field = waves(len(seeds), 3, 2000, 4, g)
    start = random_start(g, len(seeds), 2000, 0.1)
    return descend(field, start, one, uniform(g, 0.012, 0.02, len(seeds), 1), steps, g)


def _walls(g, seeds, goals, size, step):
    """`step(slopes, places)` is how far a step goes before the wall: about three of its widths.

    Much less and the weights come to rest in front of it (a standoff), much more and they leap
    over it (and arrive).
    """
    slopes, place = uniform(g, 0.5, 1.5, seeds, goals), uniform(g, 1.0, 2.0, seeds)
    width = step(slopes, place) / uniform(g, 2.9, 3.5, seeds)
    field = wall(uniform(g, 0.7, 2.0, seeds), width, place, slopes)
    start = random_start(g, seeds, size, 0.5 / size**0.5)
    start[:, 0] = uniform(g, 2.2, 3.5, seeds)
    return field, start


def obnoxious_plane(seeds, steps=900):
    """Weights as norms: who pulls hard is heard most."""
    g = mixed(seeds)
    rate = uniform(g, 0.02, 0.06, len(seeds), 1)
    field, start = _walls(g, len(seeds), 2, 2, lambda s, p: rate[:, 0] * s[:, 0] * p)
    return descend(field, start, magnitude, rate, steps, g)


def obnoxious_mean(seeds, steps=900):
    """Plain means of three goals, one of them with the wall."""
    g = mixed(seeds)
    rate = uniform(g, 0.06, 0.12, len(seeds), 1)
    field, start = _walls(
        g, len(seeds), 3, 5, lambda s, p: rate[:, 0] * (s[:, 0] + s[:, 2]) * p / 3
    )
    return descend(field, start, mean, rate, steps, g)


def obnoxious_wide(seeds, steps=900):
    """With noise in all of 1,000 directions, as long as a fifth of a usual gradient."""
    g = mixed(seeds)
    rate = uniform(g, 0.02, 0.06, len(seeds), 1)
    field, start = _walls(g, len(seeds), 2, 1000, lambda s, p: rate[:, 0] * s[:, 0] * p)
    return descend(field, start, magnitude, rate, steps, g, noise=0.3 / 1000**0.5)


def _traps(g, seeds, size):
    centre = random_start(g, seeds, size, 1.0)
    centre = centre / centre.norm(dim=1, keepdim=True) * uniform(g, 1.0, 2.5, seeds, 1)
    width, depth = uniform(g, 0.1, 0.25, seeds), uniform(g, 2.0, 4.0, seeds)
    return trap(depth, width, centre), centre + 0.05 * random_start(g, seeds, size, 1.0)


def reference_trap():
    """The one run of the kind on which the first thresholds were found."""
    g = torch.Generator().manual_seed(0)
    field = trap(torch.tensor([3.0]), torch.tensor([0.15]), torch.tensor([[1.5, 0.0]]).double())
    return descend(field, torch.tensor([[1.45, 0.02]]).double(), magnitude, 0.05, 1500, g)


def _rivals(g, seeds, goals, size):
    centres = torch.randn(seeds, goals, size, generator=g, dtype=torch.float64)
    return bowls(uniform(g, 0.7, 1.4, seeds, goals, 1), centres)


def oscillation_rivals(seeds, steps=700):
    g = mixed(seeds)
    field, start = _rivals(g, len(seeds), 2, 2), random_start(g, len(seeds), 2, 2)
    return descend(field, start, largest, uniform(g, 0.1, 0.3, len(seeds), 1), steps, g)


def oscillation_three(seeds, steps=700):
    g = mixed(seeds)
    field, start = _rivals(g, len(seeds), 3, 2000), random_start(g, len(seeds), 2000, 2)
    return descend(field, start, largest, uniform(g, 0.1, 0.3, len(seeds), 1), steps, g)


def oscillation_step(seeds, steps=700):
    g = mixed(seeds)
    field = funnels(uniform(g, 0.3, 2.0, len(seeds), 2, 30))
    return descend(
        field,
        random_start(g, len(seeds), 30, 2),
        mean,
        uniform(g, 1.2, 2.0, len(seeds), 1),
        steps,
        g,
    )


def oscillation_networks(seeds, steps=900):
    """All rows, at a rate beyond the edge of stability."""
    g = mixed(seeds)
    nets = Networks(len(seeds), g, rows=100, noise=0.1)
    return train(nets, mean, 0.6, steps, g, batch=None)


def standoff_rivals(seeds, steps=900):
    g = mixed(seeds)
    field, start = _rivals(g, len(seeds), 2, 2), random_start(g, len(seeds), 2, 2)
    return descend(field, start, mean, uniform(g, 0.02, 0.2, len(seeds), 1), steps, g)


def standoff_impartial(seeds, steps=900):
    g = mixed(seeds)
    field, start = _rivals(g, len(seeds), 3, 2000), random_start(g, len(seeds), 2000, 2)
    return descend(field, start, impartial, uniform(g, 0.02, 0.1, len(seeds), 1), steps, g)


def standoff_trap(seeds, steps=900):
    g = mixed(seeds)
    field, start = _traps(g, len(seeds), 2)
    return descend(field, start, mean, uniform(g, 0.002, 0.006, len(seeds), 1), steps, g)


FAILURES = {
    "desert": (desert_waves, desert_perlin, desert_sampled, desert_wide),
    "obnoxious": (obnoxious_plane, obnoxious_mean, obnoxious_wide),
    "oscillation": (oscillation_rivals, oscillation_three, oscillation_step),
    "standoff": (standoff_rivals, standoff_impartial, standoff_trap),
}

# No measure of the monitor: whether these have failed is a matter of opinion. Rates in the docs.
BORDERLINE = (desert_caught, oscillation_networks)
