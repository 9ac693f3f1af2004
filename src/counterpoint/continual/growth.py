"""Precisions over weights that have grown: a longer head, a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.gaussian import Block, Dense, Diagonal, Isotropic, Kronecker, Precision, Sum, pool
from counterpoint.gaussian import add as added

__all__ = ["as_if_fewer", "join", "padded", "widened"]


def join(old: Precision, new: Precision, *, pooled: bool = False) -> Precision:
    """``P_old + P_new`` over the weights of the new; where these grew, the new one alone.

    Args:
        old: of weights that are all among the new, none of them longer.
        new: of all weights.
        pooled: add Kronecker factors, an approximation; otherwise the sum is exact.
    """
    both = pool if pooled else added
    if old.shapes == new.shapes:
        return both(old, new)
    parts = new.parts if isinstance(new, Block) else (new,)
    known = [part for part in parts if part.shapes.keys() & old.shapes.keys()]
    fresh = [part for part in parts if part not in known]
    rest = known[0] if len(known) == 1 else Block(tuple(known))
    return _block([both(widened(old, rest.shapes), rest), *fresh])


def widened(precision: Precision, shapes: Mapping[str, torch.Size]) -> Precision:
    """The same precision over more or longer weights, zero where they are new.

    Args:
        precision: of weights that are all among those of `shapes`.
        shapes: of the weights now: each at least as long in every dimension.

    Raises:
        InputError: a Kronecker layer grew otherwise than by outputs or inputs.
    """
    mine = {name: shapes[name] for name in precision.shapes}
    new = {name: shape for name, shape in shapes.items() if name not in mine}
    if isinstance(precision, Dense):
        return _embedded(precision, shapes)
    if isinstance(precision, Diagonal | Isotropic):
        return Diagonal(padded(precision.diagonal(), shapes))
    if isinstance(precision, Sum):
        return Sum(tuple(widened(member, shapes) for member in precision.members))
    grown: Sequence[Precision]
    if isinstance(precision, Block):
        grown = [
            widened(part, {name: shapes[name] for name in part.shapes}) for part in precision.parts
        ]
    else:
        grown = [_layer(precision, mine)]
    like = precision.like
    zeros = [Diagonal({n: like.new_zeros(s) for n, s in new.items()})] if new else []
    return _block([*grown, *zeros])


def as_if_fewer(precision: Precision, share: float) -> Precision:
    """``share P`` with the sums behind Kronecker factors scaled: as of fewer rows, to `pool`."""
    if isinstance(precision, Block):
        return Block(tuple(as_if_fewer(part, share) for part in precision.parts))
    if not isinstance(precision, Kronecker):
        return precision.scaled(share)
    factors = precision.factors
    fewer = replace(
        factors,
        left=factors.left * share,
        right=factors.right * share,
        count=factors.count * share,
    )
    return replace(precision, factors=fewer, delta=precision.delta * share)


def padded(values: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Values in the leading corner of zeros of other shapes; names without a value are zeros."""
    like = next(iter(values.values()))
    found = dict[str, Tensor]()
    for name, shape in shapes.items():
        value = values.get(name)
        if value is not None and value.shape == shape:
            found[name] = value
            continue
        found[name] = like.new_zeros(shape)
        if value is not None:
            found[name][tuple(map(slice, value.shape))] = value
    return found


def _block(parts: Sequence[Precision]) -> Precision:
    return parts[0] if len(parts) == 1 else Block(tuple(parts))


def _embedded(dense: Dense, shapes: Mapping[str, torch.Size]) -> Dense:
    sizes = [shape.numel() for shape in shapes.values()]
    order = torch.arange(sum(sizes), device=dense.matrix.device).split(sizes)
    places = {n: part.view(s) for (n, s), part in zip(shapes.items(), order, strict=True)}
    kept = [places[n][tuple(map(slice, s))].reshape(-1) for n, s in dense.shapes.items()]
    place = torch.cat(kept)
    full = dense.matrix.new_zeros(sum(sizes), sum(sizes))
    full[place[:, None], place] = dense.dense()
    return Dense(full, dict(shapes))


def _layer(precision: Precision, shapes: Mapping[str, torch.Size]) -> Precision:
    if shapes == precision.shapes:
        return precision
    if not isinstance(precision, Kronecker):
        raise InputError(f"growth: not known for a {type(precision).__name__}")
    factors = precision.factors
    old, new = factors.shape, shapes[factors.weight]
    if factors.left.shape[0] > 1 or len(new) != len(old) or new[2:] != old[2:]:
        raise InputError(
            f"growth: {factors.weight!r} of a Kronecker layer may grow by outputs and inputs, found"
            f" {tuple(new)} for {tuple(old)} in {factors.left.shape[0]} groups"
        )
    inputs = new[1:].numel()
    size = inputs + (factors.bias is not None)
    # the bias is the last column, before and after
    place = torch.arange(factors.right.shape[1], device=factors.right.device)
    if factors.bias is not None:
        place[-1] = inputs
    left = factors.left.new_zeros(1, new[0], new[0])
    left[:, : old[0], : old[0]] = factors.left
    right = factors.right.new_zeros(1, size, size)
    right[:, place[:, None], place] = factors.right
    return replace(precision, factors=replace(factors, left=left, right=right, shape=new))
