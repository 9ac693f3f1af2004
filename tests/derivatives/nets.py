"""Networks and points for tests of derivatives, and gradients to compare with."""

import torch
from torch import Tensor, nn

from counterpoint.seeding import generator, seeded

EXACT = ("auto", "forward-mode", "reverse-mode", "complex-step")
DIFFERENCES = ("forward", "backward", "central", "richardson")
ORDERS = {"forward": 1, "backward": 1, "central": 2, "richardson": 4}


def net(inputs=3, outputs=2, activation=nn.Tanh, width=8):
    with seeded(0):
        layers = [nn.Linear(inputs, width), activation(), nn.Linear(width, width), activation()]
        return nn.Sequential(*layers, nn.Linear(width, outputs)).double()


def points(rows=5, inputs=3, seed=0):
    return torch.randn(rows, inputs, dtype=torch.float64, generator=generator(seed))


def true_gradients(function, x) -> Tensor:
    """(rows, outputs, inputs) by plain backward passes, through none of our code."""
    leaf = x.clone().requires_grad_()
    values = function(leaf)
    each = [
        torch.autograd.grad(values[:, output].sum(), leaf, retain_graph=True)[0]
        for output in range(values.shape[1])
    ]
    return torch.stack(each, 1)
