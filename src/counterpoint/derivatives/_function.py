"""What is differentiated: a function of rows, and how it is evaluated at many shifts at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from counterpoint.errors import InputError

Function: TypeAlias = Callable[[Tensor], Tensor]
"""From points ``(rows, inputs)`` to outputs ``(rows, outputs)`` or ``(rows,)``, row by row: what
comes out for a row depends on that row alone (so no batch normalisation in training mode)."""


def readable(tensor: Tensor) -> bool:
    """Whether values may be looked at: never where that would stall a device or break a graph."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def checked_points(x: Shaped[Tensor, "..."]) -> Float[Tensor, "rows inputs"]:
    """The points, if they are rows of real numbers."""
    if x.ndim != 2:
        hint = "; one input a row is x[:, None]" if x.ndim == 1 else ""
        raise InputError(f"x: must have shape (rows, inputs), found {tuple(x.shape)}{hint}")
    if x.numel() == 0:
        raise InputError(f"x: must have a row and an input at least, found {tuple(x.shape)}")
    if not x.is_floating_point():
        raise InputError(f"x: must be floating point, found {x.dtype}; write x.double()")
    return x


def checked_directions(
    directions: Shaped[Tensor, "..."], x: Float[Tensor, "rows inputs"]
) -> Float[Tensor, "ways rows inputs"]:
    """The directions as ``(ways, rows, inputs)``, in the type of the points, as constants."""
    if directions.shape[-2:] != x.shape or directions.ndim not in (2, 3) or not len(directions):
        rows, inputs = x.shape
        raise InputError(
            f"directions: must have the shape of x, ({rows}, {inputs}), or (ways, {rows}, "
            f"{inputs}), found {tuple(directions.shape)}"
        )
    if directions.is_complex() or directions.dtype == torch.bool:
        raise InputError(f"directions: must be real numbers, found {directions.dtype}")
    # constants: slopes are linear in them, and a graph would only cost
    return directions.detach().to(x).reshape(-1, *x.shape)


def unit_directions(x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "inputs rows inputs"]:
    """One direction an input, the same at every point, without memory of its own for each."""
    axes = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return axes.unsqueeze(1).expand(-1, *x.shape)


def columns(found: object, rows: int) -> Shaped[Tensor, "rows outputs"]:
    """What a function gave for so many rows, one column at least."""
    if not isinstance(found, Tensor):
        kind = type(found).__name__
        raise InputError(f"function: must give a tensor, found {kind}; pick the one that is meant")
    if found.ndim not in (1, 2) or len(found) != rows:
        hint = "; write .flatten(1)" if found.ndim > 2 and len(found) == rows else ""
        raise InputError(
            f"function: must give shape ({rows},) or ({rows}, outputs) for {rows} rows, "
            f"found {tuple(found.shape)}{hint}"
        )
    if not (found.is_floating_point() or found.is_complex()):
        raise InputError(f"function: must give floating point numbers, found {found.dtype}")
    return found if found.ndim == 2 else found.unsqueeze(1)


def together(
    function: Function, points: Shaped[Tensor, "shifts rows inputs"]
) -> Shaped[Tensor, "shifts rows outputs"]:
    """The outputs at several shifts of the same rows, by one evaluation of all of them."""
    shifts, rows, inputs = points.shape
    # whether a function draws is not known before it has been called
    before = _Randomness.of(points)
    found = columns(function(points.reshape(-1, inputs)), shifts * rows)
    if shifts == 1 or not before.moved():
        return found.unflatten(0, (shifts, rows))
    # dropout would draw others for each shift, and what is divided by a small step would be noise:
    # every shift is evaluated for itself, from the same random state
    each = list[Tensor]()
    for shift in points:
        before.restore()
        each.append(columns(function(shift), rows))
    return torch.stack(each)


@dataclass(frozen=True)
class _Randomness:
    """The state of the generator that torch draws from on a device; nothing while it compiles."""

    state: Tensor | None
    device: torch.device

    @classmethod
    def of(cls, like: Tensor) -> "_Randomness":
        """As it is now."""
        if torch.compiler.is_compiling():
            return cls(None, like.device)
        return cls(_now(like.device), like.device)

    def moved(self) -> bool:
        """Whether anything has been drawn since."""
        return self.state is not None and not torch.equal(self.state, _now(self.device))

    def restore(self) -> None:
        """Make it what it was."""
        if self.state is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(self.state, self.device)
        elif self.state is not None:
            torch.set_rng_state(self.state)


def _now(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
