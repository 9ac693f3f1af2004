"""Constructed runs in good health, one a seed: no alarm is due."""

import torch

from balance.monitor.fields import bowls, random_start, uniform
from balance.monitor.runs import (
    Networks,
    cosine,
    descend,
    fit,
    impartial,
    magnitude,
    mean,
    mixed,
    one,
    train,
)


def arrived(seeds, steps=1200):
    g = mixed(seeds)
    field = bowls(uniform(g, 0.2, 3, len(seeds), 2, 20), torch.zeros(len(seeds), 2, 20).double())
    return descend(field, random_start(g, len(seeds), 20, 2), mean, 0.3, steps, g)


def arrived_float32(seeds, steps=1200):
    """In float32 and around a minimum that is not 0: the last digits never rest."""
    g = mixed(seeds)
    centre = random_start(g, len(seeds), 500, 1)[:, None].expand(-1, 2, -1).float()
    field = bowls(uniform(g, 0.2, 3, len(seeds), 2, 500).float(), centre, offset=0.1)
    start = random_start(g, len(seeds), 500, 2).float()
    return descend(field, start, mean, uniform(g, 0.2, 0.62, len(seeds), 1), steps, g)


def on_its_way(seeds, steps=600):
    g = mixed(seeds)
    field = bowls(uniform(g, 0.2, 3, len(seeds), 2, 20), torch.zeros(len(seeds), 2, 20).double())
    return descend(field, random_start(g, len(seeds), 20, 2), impartial, 0.003, steps, g)


def switching(seeds, steps=1000):
    """One goal at random, at a rate that arrives."""
    g = mixed(seeds)
    field = bowls(uniform(g, 0.2, 3, len(seeds), 4, 20), torch.zeros(len(seeds), 4, 20).double())
    return descend(field, random_start(g, len(seeds), 20, 2), one, 0.05, steps, g)


def noisy_bowl(seeds, steps=1200):
    """Gradient noise in every direction, stiff and flat ones."""
    g = mixed(seeds)
    curvatures = 10 ** uniform(g, -3, 0.3, len(seeds), 2, 1000)
    field = bowls(curvatures, torch.zeros(len(seeds), 2, 1000).double())
    return descend(field, random_start(g, len(seeds), 1000, 1), mean, 0.1, steps, g, noise=0.3)


def regression(seeds, steps=1500):
    g = mixed(seeds)
    return train(Networks(len(seeds), g), mean, 0.1, steps, g)


def regression_fast(seeds, steps=1500):
    """A high rate with momentum: the jitter of the noise floor is large."""
    g = mixed(seeds)
    return train(Networks(len(seeds), g, noise=0.5), impartial, 0.05, steps, g, momentum=0.9)


def classification(seeds, steps=1500):
    g = mixed(seeds)
    return train(Networks(len(seeds), g, classes=True), impartial, 0.2, steps, g, batch=16)


def with_adam(seeds, steps=1500):
    g = mixed(seeds)
    return train(Networks(len(seeds), g, classes=True), mean, 3e-3, steps, g, adam=True)


def with_adam_fast(seeds, steps=1500):
    g = mixed(seeds)
    return train(Networks(len(seeds), g, noise=1.0), mean, 1e-2, steps, g, adam=True, batch=16)


def with_schedule(seeds, steps=1500):
    g = mixed(seeds)
    return train(Networks(len(seeds), g), magnitude, 0.2, steps, g, schedule=cosine)


def full_batch(seeds, steps=800):
    g = mixed(seeds)
    return train(Networks(len(seeds), g, rows=200), mean, 0.1, steps, g, batch=None)


def slow(seeds, steps=1200):
    g = mixed(seeds)
    return train(Networks(len(seeds), g, hidden=100), impartial, 0.005, steps, g)


def one_at_a_time(seeds, steps=1500):
    g = mixed(seeds)
    return train(Networks(len(seeds), g), one, 0.05, steps, g)


def fine_tuning(seeds, steps=700):
    """On from a trained network, at a low rate: nothing is left to gain."""
    return _continued(seeds, steps, 1e-3, adam=False)


def fine_tuning_adam(seeds, steps=700):
    return _continued(seeds, steps, 1e-4, adam=True)


def _continued(seeds, steps, rate, *, adam):
    g = mixed(seeds)
    nets = Networks(len(seeds), g, hidden=50, classes=True)
    trained = fit(nets, mean, 3e-3, 800, g, adam=True, schedule=cosine).weights
    return fit(nets, mean, rate, steps, g, adam=adam, start=trained).runs


HEALTHY = (
    arrived,
    arrived_float32,
    on_its_way,
    switching,
    noisy_bowl,
    regression,
    regression_fast,
    classification,
    with_adam,
    with_adam_fast,
    with_schedule,
    full_batch,
    slow,
    one_at_a_time,
    fine_tuning,
    fine_tuning_adam,
)
