"""Named vectors, flat and back, and what every structure checks."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from counterpoint.errors import InputError, nearest

Shift: TypeAlias = float | Tensor | Mapping[str, float | Tensor]
"""What is added to a diagonal: one number, or name -> a number or a tensor that broadcasts."""

# its square in float64 is 128 MiB, and one factorisation of it takes a second or two of one core
FORMED_LIMIT = 4096
"""Weights up to which what has no other way is answered from a dense matrix."""


def scalar(value: float | Tensor) -> Float[Tensor, ""]:
    """A number as a 0-d tensor: a float becomes float64, a tensor keeps its graph."""
    if isinstance(value, Tensor):
        return value.reshape(())
    return torch.tensor(value, dtype=torch.float64)


def number(value: float | Tensor) -> float:
    """A 0-d tensor's value, graph or not."""
    return float(value.detach()) if isinstance(value, Tensor) else float(value)


def flat(vector: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> Float[Tensor, "..."]:
    """Entries in the order of `shapes` along the last dimension; leading dimensions stay."""
    parts = [
        vector[name].flatten(vector[name].ndim - len(shape))
        if shape
        else vector[name].unsqueeze(-1)
        for name, shape in shapes.items()
    ]
    return torch.cat(parts, -1)


def split(
    vector: Shaped[Tensor, "... total"], shapes: Mapping[str, torch.Size]
) -> dict[str, Tensor]:
    """Named views of the last dimension."""
    parts = vector.split([shape.numel() for shape in shapes.values()], -1)
    return {
        name: part.reshape((*part.shape[:-1], *shape))
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def wider(vector: Tensor, like: Tensor) -> torch.dtype:
    """The type in which a vector meets a structure."""
    return torch.promote_types(vector.dtype, like.dtype)


def returned(found: Mapping[str, Tensor], vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An answer in the types of the vector that was asked about."""
    return {name: value.to(vector[name].dtype) for name, value in found.items()}


def padded(values: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Values in the leading corner of zeros of other shapes; names without a value are zeros."""
    like = next(iter(values.values()))
    result = dict[str, Tensor]()
    for name, shape in shapes.items():
        value = values.get(name)
        if value is not None and value.shape == shape:
            result[name] = value
            continue
        result[name] = like.new_zeros(shape)
        if value is not None:
            result[name][tuple(map(slice, value.shape))] = value
    return result


def noise(
    shapes: Mapping[str, torch.Size], generator: torch.Generator, like: Tensor, *lead: int
) -> dict[str, Tensor]:
    """Standard normal numbers, drawn on the generator's device in the type of `like`."""
    return {
        name: torch.randn(
            (*lead, *shape), generator=generator, device=generator.device, dtype=like.dtype
        ).to(like.device)
        for name, shape in shapes.items()
    }


def uniform(by: Shift, shapes: Mapping[str, torch.Size]) -> float | Tensor | None:
    """The one number that a shift adds to all of `shapes`, if it is one.

    Raises:
        InputError: a name that is not one of `shapes`.
    """
    if not isinstance(by, Mapping):
        return by
    part_of(by, shapes)
    found = [by.get(name, 0.0) for name in shapes]
    first = found[0]
    same = all(value is first or _equal(value, first) for value in found)
    return first if same and (isinstance(first, float | int) or first.numel() == 1) else None


def spread(by: Shift, shapes: Mapping[str, torch.Size], like: Tensor) -> dict[str, Tensor]:
    """A shift as a full tensor for each name.

    Raises:
        InputError: a name that is not one of `shapes`, or a tensor that does not broadcast.
    """
    if not isinstance(by, Mapping):
        by = dict.fromkeys(shapes, by)
    part_of(by, shapes)
    return {name: _full(name, by.get(name, 0.0), shape, like) for name, shape in shapes.items()}


def part_of(by: Mapping[str, float | Tensor], shapes: Mapping[str, torch.Size]) -> None:
    """Refuse a shift of names that are not there.

    Raises:
        InputError: a name that is not one of `shapes`.
    """
    for name in by:
        if name not in shapes:
            raise InputError(f"shift: {name!r} is not a parameter here{nearest(name, shapes)}")


def chosen(names: Iterable[str], shapes: Mapping[str, torch.Size]) -> dict[str, torch.Size]:
    """The part of `shapes` that is named, in its own order.

    Raises:
        InputError: a name that is not one of `shapes`, or no name.
    """
    wanted = set(names)
    for name in sorted(wanted):
        if name not in shapes:
            raise InputError(f"precision: {name!r} is not a parameter here{nearest(name, shapes)}")
    if not wanted:
        raise InputError(
            f"precision: at least one name is expected, found none{nearest('', shapes)}"
        )
    return {name: shape for name, shape in shapes.items() if name in wanted}


def positions(names: Iterable[str], shapes: Mapping[str, torch.Size]) -> torch.Tensor:
    """Places of the entries of `names`, in their order, in the flat vector over `shapes`."""
    total = sum(shape.numel() for shape in shapes.values())
    places = split(torch.arange(total), shapes)
    return torch.cat([places[name].reshape(-1) for name in names])


def positive(least: float, what: str) -> None:
    """Refuse to invert what is not positive definite.

    Raises:
        InputError: the least eigenvalue is not above zero.
    """
    if not least > 0:
        raise InputError(
            f"{what}: must be positive definite to be inverted, found a least eigenvalue of"
            f" {least:.6g}; add a prior with shift(...)"
        )


def small(total: int, what: str) -> None:
    """Refuse to form a dense matrix for more weights than `FORMED_LIMIT`.

    Raises:
        InputError: there are more.
    """
    if total > FORMED_LIMIT:
        raise InputError(
            f"{what}: has no closed form here and is taken from a dense matrix of at most"
            f" {FORMED_LIMIT} weights, found {total}; restrict(names) first"
        )


def cholesky(matrix: Float[Tensor, "total total"], what: str) -> Float64[Tensor, "total total"]:
    """The lower root in float64.

    Raises:
        InputError: the matrix is not positive definite (says its least eigenvalue).
    """
    root, failed = torch.linalg.cholesky_ex(matrix.double())
    if bool(failed):
        positive(float(torch.linalg.eigvalsh(matrix.detach().double())[0].clamp_max(0)), what)
    return root


def _equal(value: float | Tensor, first: float | Tensor) -> bool:
    # tensors that are differentiated stay apart: one number would stand for two variables
    if any(
        isinstance(each, Tensor) and (each.requires_grad or each.numel() != 1)
        for each in (value, first)
    ):
        return False
    return float(value) == float(first)


def _full(name: str, value: float | Tensor, shape: torch.Size, like: Tensor) -> Tensor:
    tensor = scalar(value) if isinstance(value, float | int) else value
    if tensor.ndim > len(shape) or any(
        size not in (1, wanted)
        for size, wanted in zip(reversed(tensor.shape), reversed(shape), strict=False)
    ):
        raise InputError(
            f"shift: {name!r} must broadcast to shape {tuple(shape)}, found {tuple(tensor.shape)}"
        )
    # numbers take the type of what they are added to, as in torch; tensors only widen it
    dtype = wider(tensor, like) if tensor.ndim else like.dtype
    return tensor.to(like.device, dtype).expand(shape)
