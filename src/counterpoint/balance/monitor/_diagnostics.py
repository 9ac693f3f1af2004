r"""How each of the four failures is told, in formulas over one `Window`."""

from collections.abc import Callable
from math import log

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from counterpoint.balance._step import Failure
from counterpoint.balance.monitor._window import Diagnosis, Window


def _standoff(window: Window) -> Diagnosis | None:
    r"""The step has come to rest, the goals have not: they cancel each other.

    Over the second half of the window, with harmony ``= |sum_k w_k g_k| / sum_k w_k |g_k|`` and
    liveliness ``= mean_k |g_k| / |g_k| at its start``: a standoff has mean harmony < 0.02 and
    liveliness > 0.01, and no goal's loss changed by more than a thousandth of its scale.

    Source: ``sum_k w_k g_k = 0`` with ``w >= 0`` is Pareto stationarity, as in Sener and Koltun,
    Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018, equation 2.
    """
    if not window.measured or len(window.names) < 2:
        return None
    half = len(window.losses) // 2
    # at a minimum common to all goals every norm vanishes with the sum, so liveliness does; on
    # small batches the noise of the gradients hides that their means cancel
    harmony = float(window.harmony[half:].mean())
    change = (window.losses[:half].mean(0) - window.losses[half:].mean(0)).abs() / window.scale
    if harmony >= 0.02 or window.liveliness <= 0.01 or float(change.max()) > 1e-3:
        return None
    return Diagnosis(window.names, {"harmony": harmony, "liveliness": window.liveliness})


def _obnoxious(window: Window) -> Diagnosis | None:
    r"""A goal that is quiet, then takes the step over and throws others back.

    For goal j, with control ``c_j = w_j |g_j| / sum_k w_k |g_k|``:

    - oppose_j ``= -cos(g_j, sum_{k != j} w_k g_k)``;
    - capture_j: how often c_j rises through 1/2 in the window;
    - against_j: the share of steps with c_j > 1/2 in which oppose_j > 1/2;
    - harm_j: mean change of the other goals' losses (in their scales) from such a step to the
      next, in standard errors;
    - burst_j: the 95th over the 5th percentile of ``|g_j|``, relative to the median of the other
      goals' own ratio;

    j is obnoxious if capture_j >= 4, against_j > 0.2, harm_j > 3 and burst_j > 2, while progress
    < 2 and liveliness > 0.01 (see `window`).

    Source: the failure is Planeswalker's.
    """
    if not window.measured or len(window.names) < 2:
        return None
    if window.progress >= 2 or window.liveliness <= 0.01:
        return None
    share = window.pulls / window.pulls.sum(1, keepdim=True).clamp_min(1e-300)
    # without burst, two equal rivals would each be called so
    bursts = _bursts(window.norms)
    for goal in bursts.argsort(descending=True).tolist():
        leads = share[:, goal] > 0.5
        against = leads & (_oppose(window, goal) > 0.5)
        capture = int((leads[1:] & ~leads[:-1]).sum())
        part = float(against.sum()) / max(int(leads.sum()), 1)
        harm = _harm(window, goal, against)
        if capture >= 4 and part > 0.2 and harm > 3 and bursts[goal] > 2:
            measures = {"capture": float(capture), "against": part, "harm": harm}
            measures["burst"] = float(bursts[goal])
            return Diagnosis((window.names[goal],), measures)
    return None


def _oscillation(window: Window) -> Diagnosis | None:
    r"""The weights go round in a cycle, and nothing improves.

    With the autocorrelation of displacements ``auto(l) = mean_t d_t . d_{t+l} / mean_t |d_t|^2``:

    - back ``= min_{1 <= l <= H/4} auto(l)``: how far a step is undone by another;
    - again ``= max_{H/8 <= l <= H/4} auto(l)``: how well a cycle repeats after long; what noise
      drives through a stiff direction swings too, but is forgotten by then;
    - switching ``= rms_t |w_t - mean w| / sqrt(K)``: whether the rule's weights take part;

    an oscillation has again > 0.5 and back < -0.6 (or back < -0.25 with switching > 0.3), progress
    < 2, steady > 0.7 and speed > 1e-6 (see `window`).

    Source: the failure is Planeswalker's; the numbers are the textbook autocorrelation.
    """
    # speed: the last digit of a weight at rest swings too, and does not count
    if not window.located or window.steady <= 0.7 or window.speed <= 1e-6 or window.progress >= 2:
        return None
    products = window.moves @ window.moves.T
    auto = torch.stack(
        [products.diagonal(lag).mean() for lag in range(1, len(window.positions) // 4 + 1)]
    ) / products.diagonal().mean().clamp_min(1e-300)
    late = len(window.positions) // 8 - 1
    back, again = float(auto.min()), float(auto[late:].max())
    switching = float((window.weights - window.weights.mean(0)).square().mean().sqrt())
    # three rivals in turn undo each other by a half only
    if again <= 0.5 or back >= (-0.25 if switching > 0.3 else -0.6):
        return None
    period = late + 1 + int(auto[late:].argmax())
    # the late maximum may be that of a multiple of the period: the first that is as high
    early = int((auto >= auto[late:].max() - 0.05).int().argmax()) + 1
    measures = {"period": float(min(period, early)), "again": again, "back": back}
    return Diagnosis(window.names, measures)


def _desert(window: Window) -> Diagnosis | None:
    r"""The weights wander, far and at random, and nothing improves, now or since the start.

    With the mean square displacement ``M(l) = mean_t |p_{t+l} - p_t|^2`` over H steps:

    - spread ``= log(M(H/4) / M(H/32)) / log 8``: 1 for a random walk, 2 for a straight line, 0 for
      a jitter around one place, as of a converged run on small batches;
    - travel ``= sqrt(M(H/4)) / rms |p|``: how much of their own length the weights move;

    a desert has spread in [0.35, 1.65], travel > 0.08, progress < 2, steady > 0.6, and gain < 2 or
    lift < 1 (see `window`).

    Source: the failure is Planeswalker's; the numbers are from the theory of diffusion.
    """
    if not window.located or window.progress >= 2 or window.steady <= 0.6:
        return None
    # a converged run improves no more, and has gained since its start
    if window.gain >= 2 and window.lift >= 1:
        return None
    size = len(window.positions)
    far, near = _displacement(window, size // 4), _displacement(window, max(1, size // 32))
    if near <= 0:
        return None
    spread = log(far / near) / log((size // 4) / max(1, size // 32))
    length = float(window.positions.square().sum(1).mean())
    travel = (far / max(length, 1e-300)) ** 0.5
    # a jitter around a centre spreads too little, fine-tuning at a low rate travels too little
    if not (0.35 <= spread <= 1.65 and travel > 0.08):
        return None
    measures = {"spread": spread, "travel": travel, "progress": window.progress}
    return Diagnosis(window.names, measures)


DIAGNOSTICS: tuple[tuple[Failure, Callable[[Window], Diagnosis | None]], ...] = (
    (Failure.STANDOFF, _standoff),
    (Failure.OBNOXIOUS, _obnoxious),
    (Failure.OSCILLATION, _oscillation),
    (Failure.DESERT, _desert),
)
"""The first that applies is the one that is told: rest before motion, causes before symptoms."""


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
    change = (window.losses[:, rest].diff(dim=0) / window.scale[rest]).mean(1)[against[:-1]]
    if len(change) < 4:
        return 0.0
    error = float(change.std()) / len(change) ** 0.5
    # a cycle that repeats exactly has no error at all: a thousandth of the mean is the least
    return float(change.mean()) / max(error, 1e-3 * float(change.mean().abs()), 1e-300)


def _bursts(norms: Float[Tensor, "steps goals"]) -> Float[Tensor, " goals"]:
    high, low = norms.quantile(0.95, 0), norms.quantile(0.05, 0)
    ratio = high / low.clamp_min(1e-300)
    each = torch.arange(len(ratio))
    return torch.stack([ratio[j] / ratio[each != j].median() for j in each.tolist()])


def _displacement(window: Window, lag: int) -> float:
    points = window.positions
    return float((points[lag:] - points[:-lag]).square().sum(1).mean())
