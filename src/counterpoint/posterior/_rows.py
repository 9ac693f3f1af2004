"""Rows of features: checks that name the offending row, and float64 blocks of bounded size."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from counterpoint.errors import InputError

BLOCK = 8192
"""Rows turned to float64 at a time; bounds the memory of a pass over the data."""


def blocks(rows: int, size: int = BLOCK) -> Iterator[slice]:
    """Consecutive slices that cover ``range(rows)``.

    >>> list(blocks(5, 3))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def design(
    features: Float[Tensor, "rows features"], start: int = 0
) -> Float64[Tensor, "rows width"]:
    """Features in float64 with a column of ones appended: ``width = features + 1``.

    Args:
        features: any floating type; stays on its device, except where that has no float64 (MPS).
        start: the number of the first row, for messages.

    Raises:
        InputError: a value is not finite (names the row and the feature).
    """
    features = features.detach()
    refuse_rows(~torch.isfinite(features), "features", "finite", features, start)
    device = torch.device("cpu") if features.device.type == "mps" else features.device
    rows, width = features.shape
    # filled in place: a column of ones beside a copy would be two copies; column by column, since
    # Φ'R of few columns R is two to four times as fast so, and ΦW is no slower
    result = torch.ones(width + 1, rows, dtype=torch.float64, device=device).T
    result[:, :width] = features
    return result


def checked_targets(targets: Float[Tensor, "..."], rows: int) -> Float[Tensor, "rows targets"]:
    """Targets as a matrix, one column a target.

    Raises:
        InputError: another number of rows than the features have, or a value is not finite.
    """
    matrix = targets.detach()
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    if matrix.ndim != 2 or matrix.shape[0] != rows:
        raise InputError(
            f"targets: expected {rows} rows and a column for each target, "
            f"found shape {tuple(targets.shape)}"
        )
    refuse_rows(~torch.isfinite(matrix), "targets", "finite", matrix)
    return matrix


def in_float64(values: Shaped[Tensor, "..."]) -> Float64[Tensor, "..."]:
    """Values in float64, where they are or, from a device that has none (MPS), on the CPU."""
    device = torch.device("cpu") if values.device.type == "mps" else values.device
    return values.detach().to(device, torch.float64)


def refuse_rows(
    bad: Bool[Tensor, "rows columns"],
    what: str,
    rule: str,
    values: Shaped[Tensor, "rows columns"],
    start: int = 0,
) -> None:
    """Refuse the first row in which `bad` is set, naming row, column and value."""
    if not bool(bad.any()):
        return
    row, column = (int(i) for i in bad.nonzero()[0])
    raise InputError(
        f"{what}: row {start + row} must be {rule}, found {values[row, column].item()} "
        f"in column {column} ({int(bad.any(1).sum())} such row(s) in this block)"
    )


def refuse_width(found: int, expected: int) -> None:
    """Refuse features of another width than the posterior was fitted to."""
    if found != expected:
        raise InputError(f"features: expected {expected} columns as in the fit, found {found}")
