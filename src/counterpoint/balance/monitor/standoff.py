r"""Standoff: the step has come to rest, the goals have not: they cancel each other.

Over the second half of the window, with harmony ``= |sum_k w_k g_k| / sum_k w_k |g_k|`` and
liveliness ``= mean_k |g_k| / |g_k| at its start``: a standoff has mean harmony < 0.02 and
liveliness > 0.01, and no goal's loss changed by more than a thousandth of its scale. At a minimum
common to all goals every norm vanishes with the sum, so liveliness does. That ``sum_k w_k g_k = 0``
with ``w >= 0`` is Pareto stationarity.

It is seen on full batches, or where batches agree: on small batches the noise of the gradients
hides that their means cancel.
"""

from counterpoint.balance.monitor.window import Finding, Window

__all__ = ["standoff"]


def standoff(window: Window) -> Finding | None:
    """The finding, or None if this is no standoff or gradients were not measured.

    Source: Pareto stationarity as in Sener and Koltun (2018), equation 2.
    """
    if not window.measured or len(window.names) < 2:
        return None
    half = len(window.losses) // 2
    harmony = float(window.harmony[half:].mean())
    scale = window.start_losses.abs().mean(0).clamp_min(1e-30)
    change = (window.losses[:half].mean(0) - window.losses[half:].mean(0)).abs() / scale
    if harmony >= 0.02 or window.liveliness <= 0.01 or float(change.max()) > 1e-3:
        return None
    return Finding(window.names, {"harmony": harmony, "liveliness": window.liveliness})
