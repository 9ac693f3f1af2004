"""Losses and gradients of many seeds at once, on which runs of each kind are built.

A field maps weights ``(seeds, size)`` to losses ``(seeds, goals)`` and gradients
``(seeds, goals, size)``.
"""

import math

import torch


def uniform(generator, low, high, *shape):
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def random_start(generator, seeds, size, scale):
    return scale * torch.randn(seeds, size, generator=generator, dtype=torch.float64)


def waves(seeds, goals, size, count, generator):
    """Random smooth fields that share their global minimum, 0 at 0: 1 - mean_m cos(k_m . x)."""
    vectors = torch.randn(seeds, goals, count, size, generator=generator, dtype=torch.float64)

    def field(x):
        phase = torch.einsum("skmd,sd->skm", vectors, x)
        slope = torch.einsum("skm,skmd->skd", phase.sin(), vectors) / count
        return 1 - phase.cos().mean(2), slope

    return field


def perlin(seeds, goals, generator, period=6):
    """Periodic Perlin noise in the plane, with gradients by autograd."""
    angles = uniform(generator, 0, 2 * math.pi, seeds, goals, period, period)
    lattice = torch.stack([angles.cos(), angles.sin()], -1)
    s, k = torch.arange(seeds)[:, None], torch.arange(goals)[None]

    def value(x):
        cell = x.detach().floor()
        inside = (x - cell)[:, None]
        fade = inside**3 * (inside * (6 * inside - 15) + 10)
        total = torch.zeros(seeds, goals, dtype=x.dtype)
        for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
            at = torch.tensor(corner)
            i, j = ((cell.long() + at) % period).T
            weight = torch.where(at.bool(), fade, 1 - fade).prod(2)
            total = total + weight * (lattice[s, k, i[:, None], j[:, None]] * (inside - at)).sum(2)
        return total

    def field(x):
        x = x.detach().requires_grad_()
        losses = value(x)
        each = [
            torch.autograd.grad(losses[:, j].sum(), x, retain_graph=True)[0] for j in range(goals)
        ]
        return losses.detach() + 1, torch.stack(each, 1)

    return field


def bowls(curvatures, centres, offset=0.0):
    """L_k = sum_i h_ki (x - c_k)_i^2 / 2 + offset; shapes (seeds, goals, size)."""

    def field(x):
        away = x[:, None] - centres
        return (curvatures * away.square()).sum(2) / 2 + offset, curvatures * away

    return field


def funnels(slopes):
    """L_k = log cosh(s_k x) summed: bowls that are linear far out; a large step makes a cycle."""

    def field(x):
        inner = slopes * x[:, None]
        soft = inner.abs() + torch.log1p(torch.exp(-2 * inner.abs())) - math.log(2)
        return soft.sum(2), slopes * inner.tanh()

    return field


def wall(height, width, place, slope):
    """Goal a pulls to 0 (so do c, d, ...); b is nearly flat, with a steep wall on the way there.

    L_b = height / (1 + exp((x_1 - place) / width)) + |x|^2 / 200: it falls off on the far side.
    """

    def field(x):
        bend = torch.sigmoid((place - x[:, 0]) / width)
        pulls = slope[..., None] * x[:, None]
        losses = slope * x.square().sum(1, keepdim=True) / 2
        losses[:, 1] = height * bend + x.square().sum(1) / 200
        pulls[:, 1] = x / 100
        pulls[:, 1, 0] -= height * bend * (1 - bend) / width
        return losses, pulls

    return field


def trap(depth, width, centre):
    """Goal a pulls to 0; goal b shares that minimum but has a narrow steep well at `centre`."""

    def field(x):
        away = x - centre
        well = depth * torch.exp(-away.square().sum(1) / (2 * width**2))
        first, second = x.square().sum(1) / 2, x.square().sum(1) / 20 + depth - well
        slope = x / 10 + (well / width**2)[:, None] * away
        return torch.stack([first, second], 1), torch.stack([x, slope], 1)

    return field
