r"""Obnoxious teammate: a goal that is quiet, then takes the step over and throws others back.

For goal j, with control ``c_j = w_j |g_j| / sum_k w_k |g_k|``:

- oppose_j ``= -cos(g_j, sum_{k != j} w_k g_k)``;
- capture_j: how often c_j rises through 1/2 in the window;
- against_j: the share of steps with c_j > 1/2 in which oppose_j > 1/2;
- harm_j: mean change of the other goals' losses (in their scales) from such a step to the next,
  in standard errors;
- burst_j: the 95th over the 5th percentile of ``|g_j|``, relative to the median of the other
  goals' own ratio;

j is obnoxious if capture_j >= 4, against_j > 0.2, harm_j > 3 and burst_j > 2, while progress < 2
and liveliness > 0.01 (see `window`). Without burst, two equal rivals would each be called so.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from counterpoint.balance.monitor.window import Finding, Window

__all__ = ["obnoxious"]


def obnoxious(window: Window) -> Finding | None:
    """The finding, or None if no goal is so or gradients were not measured.

    Source: the failure is Planeswalker's.
    """
    if not window.measured or len(window.names) < 2:
        return None
    if window.progress >= 2 or window.liveliness <= 0.01:
        return None
    share = window.pulls / window.pulls.sum(1, keepdim=True).clamp_min(1e-300)
    bursts = _bursts(window.norms)
    for goal in bursts.argsort(descending=True).tolist():
        held = share[:, goal] > 0.5
        against = held & (_oppose(window, goal) > 0.5)
        capture = int((held[1:] & ~held[:-1]).sum())
        part = float(against.sum()) / max(int(held.sum()), 1)
        harm = _harm(window, goal, against)
        if capture >= 4 and part > 0.2 and harm > 3 and bursts[goal] > 2:
            measures = {"capture": float(capture), "against": part, "harm": harm}
            measures["burst"] = float(bursts[goal])
            return Finding((window.names[goal],), measures)
    return None


def _others(window: Window, goal: int) -> list[int]:
    return [k for k in range(len(window.names)) if k != goal]


def _oppose(window: Window, goal: int) -> Float[Tensor, " steps"]:
    rest = _others(window, goal)
    pulls = window.pulls[:, rest]
    cross = (pulls * window.cosines[:, goal, rest]).sum(1)
    square = torch.einsum("tk,tkl,tl->t", pulls, window.cosines[:, rest][:, :, rest], pulls)
    return -cross / square.clamp_min(1e-300).sqrt()


def _harm(window: Window, goal: int, against: Bool[Tensor, " steps"]) -> float:
    rest = _others(window, goal)
    scale = window.start_losses[:, rest].abs().mean(0).clamp_min(1e-30)
    change = (window.losses[:, rest].diff(dim=0) / scale).mean(1)[against[:-1]]
    if len(change) < 4:
        return 0.0
    error = float(change.std()) / len(change) ** 0.5
    return float(change.mean()) / max(error, 1e-3 * float(change.mean().abs()), 1e-300)


def _bursts(norms: Float[Tensor, "steps goals"]) -> Float[Tensor, " goals"]:
    high, low = norms.quantile(0.95, 0), norms.quantile(0.05, 0)
    ratio = high / low.clamp_min(1e-300)
    each = torch.arange(len(ratio))
    return torch.stack([ratio[j] / ratio[each != j].median() for j in each.tolist()])
