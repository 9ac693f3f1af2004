"""One figure of this room: loss against learning rate, as SVG."""

import math
from collections.abc import Sequence

__all__ = ["draw_curve"]

_WIDTH, _HEIGHT, _MARGIN = 640, 360, 48


def draw_curve(
    rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], mark: float
) -> str:
    """Points for the losses, a line for their averages, a vertical line at the suggestion.

    Args:
        rates: positive, ascending; drawn on a logarithmic axis.
        losses: one for each rate; the axis spans the averages, so that a burst does not flatten it.
        smooth: averages of the losses.
        mark: the suggested rate.
    """
    left, right = math.log10(rates[0]), math.log10(rates[-1])
    low, high = min(smooth), max(smooth)

    def x(rate: float) -> float:
        share = (math.log10(rate) - left) / ((right - left) or 1.0)
        return _MARGIN + share * (_WIDTH - 2 * _MARGIN)

    def y(loss: float) -> float:
        share = min(max((loss - low) / ((high - low) or 1.0), 0.0), 1.0)
        return _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)

    def text(at: float, height: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{at:.1f}" y="{height:.1f}" text-anchor="{anchor}">{words}</text>'

    line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(rates, smooth, strict=True))
    points = "".join(
        f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="1.5" fill="currentColor" opacity="0.35"/>'
        for a, b in zip(rates, losses, strict=True)
    )
    bottom, at = _HEIGHT - _MARGIN, x(mark)
    ticks = "".join(
        text(x(10.0**power), bottom + 18, f"1e{power}")
        for power in range(math.ceil(left), math.floor(right) + 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        ' font-family="sans-serif" font-size="12" fill="currentColor">'
        f"<title>Loss against learning rate; suggestion {mark:.2g}</title>"
        f'<path d="M{_MARGIN},{_MARGIN}V{bottom}H{_WIDTH - _MARGIN}" fill="none"'
        ' stroke="currentColor" opacity="0.5"/>'
        f'{points}<polyline points="{line}" fill="none" stroke="#2a6fdb" stroke-width="2"/>'
        f'<path d="M{at:.1f},{_MARGIN}V{bottom}" stroke="#d9822b" stroke-dasharray="4 3"/>'
        f"{text(at, _MARGIN - 8, f'{mark:.2g}')}{ticks}"
        f"{text(_WIDTH / 2, _HEIGHT - 10, 'learning rate')}"
        f"{text(_MARGIN - 6, y(high) + 4, f'{high:.3g}', 'end')}"
        f"{text(_MARGIN - 6, y(low) + 4, f'{low:.3g}', 'end')}</svg>\n"
    )
