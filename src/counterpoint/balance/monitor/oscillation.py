r"""Oscillation: the weights go round in a cycle, and nothing improves.

With the autocorrelation of displacements ``auto(l) = mean_t d_t . d_{t+l} / mean_t |d_t|^2``:

- back ``= min_{1 <= l <= H/4} auto(l)``: how far a step is undone by another;
- again ``= max_{H/8 <= l <= H/4} auto(l)``: how well a cycle repeats after long; what noise
  drives through a stiff direction swings too, but is forgotten by then;
- switching ``= rms_t |w_t - mean w| / sqrt(K)``: whether the rule's weights take part;

an oscillation has again > 0.5 and back < -0.6 (or back < -0.25 with switching > 0.3: three
rivals in turn undo each other by a half only), progress < 2, steady > 0.7 and speed > 1e-6 (so
that the last digit of a weight at rest does not count; see `window`).
"""

import torch

from counterpoint.balance.monitor.window import Finding, Window

__all__ = ["oscillation"]


def oscillation(window: Window) -> Finding | None:
    """The finding, or None if this is no oscillation or there are no positions.

    Source: the failure is Planeswalker's; the numbers are the textbook autocorrelation.
    """
    if not window.located or window.steady <= 0.7 or window.speed <= 1e-6 or window.progress >= 2:
        return None
    products = window.moves @ window.moves.T
    auto = torch.stack(
        [products.diagonal(lag).mean() for lag in range(1, len(window.positions) // 4 + 1)]
    ) / products.diagonal().mean().clamp_min(1e-300)
    late = len(window.positions) // 8 - 1
    back, again = float(auto.min()), float(auto[late:].max())
    switching = float((window.weights - window.weights.mean(0)).square().mean().sqrt())
    if again <= 0.5 or back >= (-0.25 if switching > 0.3 else -0.6):
        return None
    period = late + 1 + int(auto[late:].argmax())
    early = int((auto >= auto[late:].max() - 0.05).int().argmax()) + 1
    measures = {"period": float(min(period, early)), "again": again, "back": back}
    return Finding(window.names, measures)
