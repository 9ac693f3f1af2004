"""What the factors of one side say: effects, a map, and who is like whom."""

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from counterpoint.estimators._factors import Tastes

Floats = NDArray[np.float64]


def effects(own: Tastes, other: Tastes) -> tuple[Floats, Floats]:
    r"""How far each row moves the rating of the average other, from the average row; and its sd.

    The effect of an item is :math:`b + m'q`, with `m` the average user's taste: only this sum is
    the same however the factors are turned and shifted.
    """
    weights = other.centre.clone()
    weights[0] = 1.0
    effect = own.mean @ weights - own.centre @ weights
    variance = ((own.covariance @ weights) * weights).sum(1)
    return effect.numpy(), variance.sqrt().numpy()


def tastes(
    own: Tastes, other: Tastes
) -> tuple[Float64[Tensor, "rows k"], Float64[Tensor, " rows"]]:
    """Factors in units of the ratings' deviation over the other side, and the sum of variances.

    A step of one along any direction moves ratings by one standard deviation over the others, so
    distances mean something, whatever the gauge of the factors.
    """
    root = torch.linalg.cholesky(other.spread[1:, 1:])
    apart = (own.mean[:, 1:] - own.centre[1:]) @ root
    unsure = ((own.covariance[:, 1:, 1:] @ root) * root).sum((1, 2))
    return apart, unsure


def components(own: Tastes, other: Tastes, count: int = 2) -> tuple[Floats, Floats]:
    """The first principal components of the tastes, and their shares of the variance.

    The sign of each is such that its largest entry is positive, since it is arbitrary otherwise.
    """
    apart, _ = tastes(own, other)
    left, size, _ = torch.linalg.svd(apart - apart.mean(0), full_matrices=False)
    found = left[:, :count] * size[:count]
    found = torch.nn.functional.pad(found, (0, count - found.shape[1]))
    largest = found.gather(0, found.abs().argmax(0, keepdim=True))
    shares = size.square() / size.square().sum().clamp(min=torch.finfo(torch.float64).tiny)
    shares = torch.nn.functional.pad(shares, (0, max(0, count - len(shares))))
    return (found * torch.where(largest < 0, -1.0, 1.0)).numpy(), shares[:count].numpy()


def likeness(own: Tastes, other: Tastes, row: int) -> Floats:
    """How alike a row's ratings and each other row's would be over the other side: -1 to 1.

    An expected cosine: what is not known of a row makes it shorter, so that one of which little
    is known is like nobody.
    """
    apart, unsure = tastes(own, other)
    length = (apart.square().sum(1) + unsure).sqrt()
    return ((apart @ apart[row]) / (length * length[row])).numpy()
