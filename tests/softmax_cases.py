"""Rows with classes, and the softmax likelihood written out, for the tests of the softmax layer."""

import torch

from counterpoint.posterior.softmax._multinomial import Multinomial, contrasts
from counterpoint.seeding import generator


def rows(seed, count=120, features=4, classes=3, spread=1.5):
    source = generator(seed)
    x = torch.randn(count, features, generator=source, dtype=torch.float64)
    slope = spread * torch.randn(features, classes, generator=source, dtype=torch.float64)
    labels = torch.multinomial((x @ slope).softmax(1), 1, generator=source).squeeze(1)
    return x, labels


def augmented(x):
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)


def loss(weights, x, labels, weight=None):
    each = torch.nn.functional.cross_entropy(augmented(x) @ weights, labels, reduction="none")
    return each.sum() if weight is None else each @ weight


def multinomial(x, labels, classes, weight=None):
    weight = torch.ones(len(x)).double() if weight is None else weight
    return Multinomial(augmented(x), labels, weight, contrasts(classes))
