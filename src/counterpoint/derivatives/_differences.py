"""Finite differences: outputs at shifted points, all evaluated at once, and their quotients."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.derivatives._function import Function, readable, together
from counterpoint.derivatives._scheme import Slopes
from counterpoint.derivatives._steps import Relative, StepSize
from counterpoint.errors import InputError

_LIMIT = 10_000
"""Most directions of one difference."""


@dataclass(frozen=True)
class ForwardDifference:
    """``(f(x + h v) - f(x)) / h``, of order 1: one evaluation a direction beside that at x.

    Attributes:
        step: gives h.
    """

    step: StepSize = field(default_factory=Relative)

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one batched evaluation."""
        return _one_sided(function, x, directions, self.step, 1.0)


@dataclass(frozen=True)
class BackwardDifference:
    """``(f(x) - f(x - h v)) / h``, of order 1: one evaluation a direction beside that at x.

    Attributes:
        step: gives h.
    """

    step: StepSize = field(default_factory=Relative)

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one batched evaluation."""
        return _one_sided(function, x, directions, self.step, -1.0)


@dataclass(frozen=True)
class CentralDifference:
    """``(f(x + h v) - f(x - h v)) / 2h``, of order 2: two evaluations a direction.

    Attributes:
        step: gives h.
    """

    step: StepSize = field(default_factory=Relative)

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one batched evaluation."""
        at = _shifted(function, x, directions, self.step, (1.0, -1.0), order=2)
        ahead, behind = at.outputs.unbind()
        # the errors of the two sides' even powers cancel: order 2
        return at.values, (ahead - behind) / (at.moved[0] - at.moved[1])


@dataclass(frozen=True)
class Richardson:
    """``(4 D(h / 2) - D(h)) / 3`` of central differences D, of order 4, and so on.

    With L levels the steps are ``h, h/2, ..., h/2^(L-1)``, the order is 2 L and there are 2 L
    evaluations a direction (Richardson 1911; Press et al., Numerical Recipes, section 5.7).

    Attributes:
        step: gives h.
        levels: L, from 1 (the central difference) to 8.

    Raises:
        InputError: the levels are not from 1 to 8.
    """

    step: StepSize = field(default_factory=Relative)
    levels: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= 8:
            raise InputError(f"scheme Richardson: levels must be 1 to 8, found {self.levels}")

    def slopes(
        self,
        function: Function,
        x: Float[Tensor, "rows inputs"],
        directions: Float[Tensor, "ways rows inputs"] | None,
    ) -> Slopes:
        """By one batched evaluation."""
        offsets = [sign / 2**level for level in range(self.levels) for sign in (1, -1)]
        at = _shifted(function, x, directions, self.step, offsets, order=2 * self.levels)
        rising, falling = at.outputs[::2], at.outputs[1::2]
        # by the distance really gone, which rounding makes other than 2 h
        table = (rising - falling) / (at.moved[::2] - at.moved[1::2])
        for level in range(1, self.levels):
            # each level takes the next even power of h out (Richardson 1911)
            table = table[1:] + (table[1:] - table[:-1]) / (4**level - 1)
        return at.values, table[0]


@dataclass(frozen=True)
class _Shifted:
    """A function at the points and, for each offset, at points shifted along each direction."""

    values: Float[Tensor, "rows outputs"]
    outputs: Float[Tensor, "offsets ways rows outputs"]
    # how far each shift really went in units of its direction, signed and as rounded
    moved: Float[Tensor, "offsets ways rows 1"]


def _shifted(
    function: Function,
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
    step: StepSize,
    offsets: Sequence[float],
    order: int,
) -> _Shifted:
    """Evaluate at x and at ``x + offset h v / |v|`` for every offset and direction, all at once."""
    ways = x.shape[1] if directions is None else len(directions)
    if ways > _LIMIT:
        raise InputError(
            f"finite differences: {ways:,} directions are above the limit of {_LIMIT:,}, at "
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
    return _Shifted(values.squeeze(0), each, moved.unsqueeze(-1))


def _one_sided(
    function: Function,
    x: Float[Tensor, "rows inputs"],
    directions: Float[Tensor, "ways rows inputs"] | None,
    step: StepSize,
    side: float,
) -> Slopes:
    """The quotient with the point ahead (1) or behind (-1); the signed move makes both one."""
    at = _shifted(function, x, directions, step, (side,), order=1)
    return at.values, (at.outputs.squeeze(0) - at.values) / at.moved.squeeze(0)


def _unit(x: Tensor, step: StepSize, offsets: Sequence[float], order: int) -> tuple[Tensor, Tensor]:
    """Shifts of one input each."""
    sizes = x.new_tensor(offsets)[:, None, None]
    # The step that is used is the one that x + h, as rounded, really is from x.
    moved = (x.T + step.lengths(x.abs().T, order) * sizes) - x.T
    # a product with 0 and 1 is exact, so the other inputs stay what they are
    axes = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return moved.unsqueeze(-1) * axes.unsqueeze(1), moved


def _along(
    x: Tensor, directions: Tensor, step: StepSize, offsets: Sequence[float], order: int
) -> tuple[Tensor, Tensor]:
    """Shifts along directions; where one is zero nothing moves, and its offsets stand for it."""
    length = directions.norm(dim=-1, keepdim=True)
    still = length == 0
    # a step has the length h whatever that of v, as h is chosen for x
    unit = directions / length.masked_fill(still, 1)
    lengths = step.lengths((x * unit).norm(dim=-1), order)
    sizes = x.new_tensor(offsets)[:, None, None]
    shifts = (x + (lengths * sizes).unsqueeze(-1) * unit) - x
    along = (shifts * unit).sum(-1, keepdim=True)
    _check_straight(shifts, along * unit, x)
    moved = (along / length).squeeze(-1)
    return shifts, torch.where(still.squeeze(-1), sizes, moved)


def _check_straight(shifts: Tensor, straight: Tensor, x: Tensor) -> None:
    """Refuse shifts that rounding turns away from their direction by a hundredth of them."""
    # dividing by the step used makes up for its length as rounded, not for another direction
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
