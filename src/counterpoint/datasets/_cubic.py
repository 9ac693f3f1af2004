"""The cubic with a gap, on which uncertainty is usually looked at first."""

import numpy as np
from jaxtyping import Float64

from counterpoint.errors import InputError


def cubic_gap(
    seed: int,
    rows: int = 100,
    noise: float = 3.0,
    *,
    gap: float = 2.0,
    boundary: float = 4.0,
) -> tuple[Float64[np.ndarray, "rows 1"], Float64[np.ndarray, " rows"]]:
    r"""Draw :math:`y = x^3 + \epsilon`, with :math:`\epsilon \sim N(0, \text{noise}^2)`.

    The points are evenly spaced on [-boundary, -gap] and [gap, boundary], ends included, half of
    the rows on each side, so that nothing says what the function does in between. After J. M.
    Hernández-Lobato and R. P. Adams (2015, arXiv 1502.05336), with the gap of Thakur et al. (2020,
    arXiv 2006.11695).

    Args:
        seed: of the noise; the points are the same for all.
        rows: at least 2; where they are odd, the right side has one more.
        noise: standard deviation of the targets.
        gap: half of its width.
        boundary: the largest point.

    Returns:
        Points and targets.

    Raises:
        InputError: there are fewer than 2 rows, noise is negative or not finite, or not
            0 <= gap < boundary.

    >>> x, y = cubic_gap(0, rows=4, noise=0.0)
    >>> x[:, 0].tolist(), y.tolist()
    ([-4.0, -2.0, 2.0, 4.0], [-64.0, -8.0, 8.0, 64.0])
    """
    if rows < 2:
        raise InputError(f"cubic_gap: rows must be at least 2, one a side, found {rows}")
    if not 0 <= noise < np.inf:
        raise InputError(f"cubic_gap: noise must be 0 or more and finite, found {noise:g}")
    if not 0 <= gap < boundary < np.inf:
        raise InputError(
            "cubic_gap: gap must be 0 or more and below a finite boundary, "
            f"found gap {gap:g}, boundary {boundary:g}"
        )
    # from the outer end inwards, so that the points ascend and both ends are exact
    left = -np.linspace(boundary, gap, rows // 2)
    points = np.concatenate([left, np.linspace(gap, boundary, rows - rows // 2)])
    drawn = np.random.default_rng(seed).normal(size=rows)
    return points[:, None], points**3 + noise * drawn
