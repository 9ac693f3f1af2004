"""The problem of two crossing valleys (Liu et al. 2021; Navon et al. 2022), first loss times 0.1.

The front is b = -8.3552, a in [-7, 7].
"""

import pytest
import torch

from balance.rules.cases import step_of
from counterpoint.balance.rules import Mgda, Sum

START = (-7.5, -0.5)


def toy(x, scale=0.1):
    a, b = x[0], x[1]
    high, low = torch.tanh(b / 2).clamp_min(0.0), torch.tanh(-b / 2).clamp_min(0.0)
    first = (0.5 * (-a - 7) - torch.tanh(-b)).abs().clamp_min(5e-6).log() + 6
    second = (0.5 * (-a + 3) + torch.tanh(-b) + 2).abs().clamp_min(5e-6).log() + 6
    left = ((7 - a) ** 2 + 0.1 * (-b - 8) ** 2) / 10 - 20
    right = ((-a - 7) ** 2 + 0.1 * (-b - 8) ** 2) / 10 - 20
    return torch.stack([scale * (first * high + left * low), second * high + right * low])


def run(rule, start, steps):
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([x], lr=1e-2)
    for _ in range(steps):
        losses = toy(x)
        pulls = [torch.autograd.grad(loss, x, retain_graph=True)[0] for loss in losses]
        x.grad = step_of(rule, torch.stack(pulls), losses=losses.detach())
        optimizer.step()
    return x.tolist()


@pytest.mark.slow
def test_mgda_arrives_where_the_mean_is_still_on_its_way():
    """From the fourth start, in 2,000 steps ten times as long as published: not every rule, nor
    every start, arrives in so few."""
    a, b = run(Mgda(), START, 2000)
    assert abs(b + 8.3552) < 0.1
    assert abs(a + 4.26) < 0.1  # published end point, after 35,000 steps
    _, b = run(Sum(), START, 2000)
    assert b > -7.0
