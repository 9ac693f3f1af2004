r"""Desert: the weights wander, far and at random, and nothing improves, now or since the start.

With the mean square displacement ``M(l) = mean_t |p_{t+l} - p_t|^2`` over a window of H steps:

- spread ``= log(M(H/4) / M(H/32)) / log 8``: 1 for a random walk, 2 for a straight line, 0 for
  a jitter around one place, as of a converged run on small batches;
- travel ``= sqrt(M(H/4)) / rms |p|``: how much of their own length the weights move;

a desert has spread in [0.35, 1.65], travel > 0.08, progress < 2, steady > 0.6, and gain < 2 or lift
< 1 (see `window`). A jitter that reverts to its centre has too little spread; fine-tuning at a low
learning rate too little travel; a converged run has gained since its start.
"""

from math import log

from counterpoint.balance.monitor.window import Finding, Window

__all__ = ["desert"]


def desert(window: Window) -> Finding | None:
    """The finding, or None if this is no desert or there are no positions.

    Source: the failure is Planeswalker's; the numbers are from the theory of diffusion.
    """
    if not window.located or window.progress >= 2 or window.steady <= 0.6:
        return None
    if window.gain >= 2 and window.lift >= 1:
        return None
    size = len(window.positions)
    far, near = _displacement(window, size // 4), _displacement(window, max(1, size // 32))
    if near <= 0:
        return None
    spread = log(far / near) / log((size // 4) / max(1, size // 32))
    length = float(window.positions.square().sum(1).mean())
    travel = (far / max(length, 1e-300)) ** 0.5
    if not (0.35 <= spread <= 1.65 and travel > 0.08):
        return None
    measures = {"spread": spread, "travel": travel, "progress": window.progress}
    return Finding(window.names, measures)


def _displacement(window: Window, lag: int) -> float:
    points = window.positions
    return float((points[lag:] - points[:-lag]).square().sum(1).mean())
