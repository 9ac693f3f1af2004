"""What can be done about an alarm without anybody's help: weights that hold back."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._step import Alarm, Failure


def remedied(
    weights: Float[Tensor, " goals"],
    norms: Float[Tensor, " goals"],
    names: Sequence[str],
    alarms: Sequence[Alarm],
    preference: Float[Tensor, " goals"] | None = None,
) -> Float[Tensor, " goals"]:
    r"""Weights of a step while some alarms are in force; nothing is read from the device.

    - desert: each goal's mean weight over the alarm's window, so that what switches stops;
    - oscillation: half of that, which halves the step;
    - obnoxious j: :math:`w_j` at most where its control is its share of preference,
      :math:`w_j |g_j| = \frac{q_j}{1 - q_j} \sum_{k \ne j} w_k |g_k|`, with
      :math:`q = p / \sum p`; no change where norms are not known or no other goal pulls;
    - standoff: none, a compromise is no accident.

    A goal that the alarm did not watch keeps its weight. The sum of the weights is not restored:
    a smaller step is meant.

    Args:
        weights: of the rule, (K,).
        norms: ``|g_k|``, (K,); NaN if not measured.
        names: the goals of this step.
        alarms: `Monitor.in_force`.
        preference: how much each goal is wanted, positive, (K,); all alike if None.

    >>> alarm = Alarm(Failure.OBNOXIOUS, ("loud",), 400, {})
    >>> even, norms = torch.ones(2), torch.tensor([9.0, 3.0])
    >>> remedied(even, norms, ("loud", "low"), [alarm])  # 9 w = 3
    tensor([0.3333, 1.0000])
    """
    wanted = torch.ones_like(weights) if preference is None else preference
    for alarm in alarms:
        if alarm.failure is Failure.DESERT:
            weights = _means(weights, names, alarm.means, 1.0)
        elif alarm.failure is Failure.OSCILLATION:
            weights = _means(weights, names, alarm.means, 0.5)
    for alarm in alarms:
        if alarm.failure is Failure.OBNOXIOUS:
            for goal in alarm.goals:
                if goal in names and len(names) > 1:
                    weights = _capped(weights, norms, wanted, list(names).index(goal))
    return weights


def _means(
    weights: Float[Tensor, " goals"],
    names: Sequence[str],
    means: Mapping[str, float],
    factor: float,
) -> Float[Tensor, " goals"]:
    """Each watched goal at `factor` times its mean weight."""
    # numbers go to the device as arguments of kernels: no copy, so no wait; what is not finite
    # stays so, since that a goal overflowed must not be hidden
    each = [
        torch.where(weight.isfinite(), weight.new_full((), factor * means[name]), weight)
        if name in means
        else weight
        for name, weight in zip(names, weights.unbind(), strict=True)
    ]
    return torch.stack(each)


def _capped(
    weights: Float[Tensor, " goals"],
    norms: Float[Tensor, " goals"],
    wanted: Float[Tensor, " goals"],
    goal: int,
) -> Float[Tensor, " goals"]:
    # Summed without the goal: taking it off a sum that it dominates would leave nothing.
    others = _without(weights * norms, goal).sum()
    share = wanted[goal] / _without(wanted, goal).sum()
    most = share * others / norms[goal]
    useful = most.isfinite() & (most > 0)
    capped = torch.where(useful, torch.minimum(weights[goal], most), weights[goal])
    return torch.cat([weights[:goal], capped[None], weights[goal + 1 :]])


def _without(values: Float[Tensor, " goals"], goal: int) -> Float[Tensor, " others"]:
    return torch.cat([values[:goal], values[goal + 1 :]])
