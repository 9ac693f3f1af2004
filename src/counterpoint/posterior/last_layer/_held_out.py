"""The noise that rows reveal to a last layer whose trunk was trained without them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from counterpoint.posterior.last_layer._last_layer import LastLayer
from counterpoint.posterior.last_layer._statistics import Statistics

_ROUNDS = 10
_NEAR = 1e-3


def held_out_noise(
    residual: Float[Tensor, " rows"],
    knowledge: Float[Tensor, " rows"],
    weight: Float[Tensor, " rows"],
) -> float:
    r"""The noise variance under which held-out residuals are likeliest.

    Maximises :math:`\sum_i w_i \log N(r_i; 0, \sigma^2 + v_i)` over :math:`\sigma^2`.

    Args:
        residual: :math:`r`, of rows that the network was not fitted to.
        knowledge: :math:`v`, the variance of each prediction's mean.
        weight: :math:`w`, of each row, not all zero.

    >>> one = torch.ones(4)
    >>> round(held_out_noise(torch.tensor([1.0, -1.0, 2.0, -2.0]), 0.5 * one, one), 3)  # 10/4 - 0.5
    2.0
    """
    # here, since importing it takes longer than all else in this room
    from scipy.optimize import minimize_scalar

    square = residual.double().square()
    # in units of itself, so that one range serves targets of any size
    scale = float(np.average(square.numpy(), weights=weight.numpy()))
    if scale == 0.0:
        return 1e-12

    def loss(log_noise: float) -> float:
        variance = knowledge + scale * float(np.exp(log_noise))
        return float((weight * (square / variance + variance.log())).sum())

    # from next to nothing to 20 times the mean square, which it exceeds by rounding alone
    found: Any = minimize_scalar(loss, bounds=(-12.0, 3.0), method="bounded")
    return scale * float(np.exp(found.x))


@dataclass(frozen=True)
class UnseenRows:
    """Rows that a trunk was trained without, and the statistics of those that it was trained on.

    Attributes:
        inside: of the trunk's features of the rows that it saw.
        features: of the rows that it did not see.
        targets: theirs.
        weight: theirs.
    """

    inside: Statistics
    features: Float[Tensor, "rows width"]
    targets: Float[Tensor, "rows targets"]
    weight: Float64[Tensor, " rows"]


def left_out_noise(
    parts: Sequence[UnseenRows], prior: float | None = None
) -> Float64[Tensor, " targets"]:
    """The noise variance of each target that agrees with what the last layers do not know.

    With the noise each last layer has another mean and other knowledge, and with those the rows
    left out another likeliest noise (`held_out_noise`): this one is its own.

    Args:
        parts: rows left out, each by a trunk of its own.
        prior: precision of the weights; none means the one of greatest evidence given the noise.
    """
    # the evidence's own noise is too small, and so is what it does not know: only to begin with
    noise = _likeliest(parts, prior, None)
    for _ in range(_ROUNDS):
        before, noise = noise, _likeliest(parts, prior, noise)
        if bool(((noise / before).log().abs() < _NEAR).all()):
            break
    return noise


def _likeliest(
    parts: Sequence[UnseenRows], prior: float | None, noise: Float64[Tensor, " targets"] | None
) -> Float64[Tensor, " targets"]:
    """The likeliest noise of each target, given the one by which the last layers are fitted."""
    found = [
        LastLayer.fit(part.inside, prior=prior, noise=noise).predict(part.features)
        for part in parts
    ]
    residual = torch.cat(
        [part.targets.double() - each.mean for part, each in zip(parts, found, strict=True)]
    )
    knowledge = torch.cat([each.knowledge for each in found])
    weight = torch.cat([part.weight for part in parts])
    each = [held_out_noise(residual[:, k], knowledge[:, k], weight) for k in range(len(residual.T))]
    return torch.tensor(each, dtype=torch.float64)
