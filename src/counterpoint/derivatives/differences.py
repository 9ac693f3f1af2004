"""Outputs at shifted points: what every finite difference is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives.function import Function, readable, together
from counterpoint.derivatives.steps import Step
from counterpoint.errors import InputError

__all__ = ["LIMIT", "Shifted", "shifted", "unit_directions"]

LIMIT = 10_000
"""Most directions of one difference."""


@dataclass(frozen=True)
class Shifted:
    """A function at the points and, for each offset, at points shifted along each direction.

    Attributes:
        values: at the points themselves.
        outputs: for each offset.
        moved: how far each shift really went in units of its direction, signed and as rounded.
    """

    values: Float[Tensor, "rows outputs"]
    outputs: Float[Tensor, "offsets ways rows outputs"]
    moved: Float[Tensor, "offsets ways rows 1"]


def shifted(
    function: Function,
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
    step: Step,
    offsets: Sequence[float],
    order: int,
) -> Shifted:
    """Evaluate at x and at ``x + offset h v / |v|`` for every offset and direction, all at once.

    Args:
        function: row by row.
        x: the points.
        directions: v; None for the unit directions.
        step: gives h.
        offsets: multiples of h.
        order: of the difference, for the step's rule.

    Raises:
        InputError: more directions than `LIMIT`, or a step that is lost in rounding.
    """
    ways = x.shape[1] if directions is None else len(directions)
    if ways > LIMIT:
        raise InputError(
            f"finite differences: {ways:,} directions are above the limit of {LIMIT:,}, at "
            f"{len(offsets) * ways + 1:,} evaluations a point; choose scheme 'reverse-mode', one "
            "evaluation and one backward pass an output"
        )
    with torch.no_grad():
        shifts, moved = (
            _unit(x, step, offsets, order)
            if directions is None
            else _along(x, directions, step, offsets, order)
        )
        # along a direction of any length only what is lost altogether can be told
        info = torch.finfo(x.dtype)
        _check_resolved(moved, x, info.eps if directions is None else info.tiny)
    points = torch.cat([x.unsqueeze(0), (x + shifts).flatten(0, 1)])
    # one split, whose backward is one concatenation; slices would each fill zeros of full size
    values, outputs = together(function, points).split([1, len(points) - 1])
    each = outputs.unflatten(0, (len(offsets), ways))
    return Shifted(values.squeeze(0), each, moved.unsqueeze(-1))


def _unit(x: Tensor, step: Step, offsets: Sequence[float], order: int) -> tuple[Tensor, Tensor]:
    """Shifts of one input each."""
    sizes = x.new_tensor(offsets)[:, None, None]
    # The step that is used is the one that x + h, as rounded, really is from x.
    moved = (x.T + step.lengths(x.abs().T, order) * sizes) - x.T
    axes = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return moved.unsqueeze(-1) * axes.unsqueeze(1), moved


def _along(
    x: Tensor, directions: Tensor, step: Step, offsets: Sequence[float], order: int
) -> tuple[Tensor, Tensor]:
    """Shifts along directions; where one is zero nothing moves, and its offsets stand for it."""
    length = directions.norm(dim=-1, keepdim=True)
    still = length == 0
    unit = directions / length.masked_fill(still, 1)
    lengths = step.lengths((x * unit).norm(dim=-1), order)
    sizes = x.new_tensor(offsets)[:, None, None]
    shifts = (x + (lengths * sizes).unsqueeze(-1) * unit) - x
    along = (shifts * unit).sum(-1, keepdim=True)
    _check_straight(shifts, along * unit, x)
    moved = (along / length).squeeze(-1)
    return shifts, torch.where(still.squeeze(-1), sizes, moved)


def _check_straight(shifts: Tensor, straight: Tensor, x: Tensor) -> None:
    """Refuse shifts that rounding turns away from their direction by a hundredth of their length.

    Dividing by the step used makes up for its length as rounded, and not for another direction.
    """
    off = (shifts - straight).abs() > 0.01 * shifts.norm(dim=-1, keepdim=True)
    if not readable(off) or not bool(off.any()):
        return
    row = int(off.nonzero()[0, -2])
    at = float(x[row].abs().max())
    raise InputError(
        f"step: rounding turns x + step away from its direction in row {row}, where x is up to "
        f"{at:.4g} and {x.dtype} resolves {at * torch.finfo(x.dtype).eps:.2g}; take a larger step, "
        "or x.double()"
    )


def _check_resolved(moved: Tensor, x: Tensor, least: float) -> None:
    """Refuse steps that are lost in rounding, and so small that their quotient overflows."""
    if not readable(moved) or float(moved.abs().min()) >= least:
        return
    row = int((moved.abs() < least).nonzero()[0, -1])
    at = max(1.0, float(x[row].abs().max()))
    raise InputError(
        f"step: x + step is x to the resolution of {x.dtype} in row {row}, "
        f"{at * torch.finfo(x.dtype).eps:.2g}; take a larger step, Relative(), or x.double()"
    )


def unit_directions(x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "inputs rows inputs"]:
    """One direction an input, the same at every point, without memory of its own for each."""
    axes = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return axes.unsqueeze(1).expand(-1, *x.shape)
