"""From the name of a structure to the running sums that make it."""

from collections.abc import Mapping
from typing import TypeAlias

from torch import Tensor

from counterpoint.curvature._factors import KroneckerSum
from counterpoint.curvature._sums import CurvatureSum, DenseSum, DiagonalSum
from counterpoint.curvature.reading._forward import Forward
from counterpoint.errors import InputError, one_of
from counterpoint.parameters import select

STRUCTURES = ("diagonal", "kronecker", "kronecker-reduce", "block", "dense")
"""What part of the curvature is kept; see `running`."""

Structure: TypeAlias = str | Mapping[str, str]
"""One of `STRUCTURES`, or globs over names to them: ``{"head.*": "dense", "*": "diagonal"}``."""

# half a GiB in float64; larger than what is formed unasked, since here somebody asked
DENSE_BLOCK_LIMIT = 8192
"""Most weights in a dense block that is asked for: it has their square in numbers."""


def running(structure: Structure, forward: Forward) -> list[CurvatureSum]:
    """Empty sums for all weights of a plan.

    - ``diagonal``: one entry a weight;
    - ``kronecker``: each linear map and convolution (weight and bias together) by its factors;
      weights that are not only in one linear map (normalisations, embeddings, tied weights) by
      their diagonal. ``kronecker-reduce`` differs where positions share weights (`KroneckerSum`);
    - ``block``: dense within each module, nothing between modules;
    - ``dense``: everything.
    """
    weights = forward.plan.weights
    if isinstance(structure, str):
        return _named(structure, weights, forward)
    sums, rest = list[CurvatureSum](), dict(weights)
    # the first glob that matches a weight counts, as in the order of a mapping it was written
    for glob, name in structure.items():
        chosen = {n: rest.pop(n) for n in select(forward.plan.model, glob) if n in rest}
        if chosen:
            sums += _named(name, chosen, forward)
    if rest:
        raise InputError(
            f"structure: no glob matches the parameter {next(iter(rest))!r}; add '*' as the last"
        )
    return sums


def _named(name: str, weights: Mapping[str, Tensor], forward: Forward) -> list[CurvatureSum]:
    name = one_of("structure", name, STRUCTURES)
    if name == "diagonal":
        return [DiagonalSum(weights)]
    if name == "dense":
        return [_dense(weights)]
    if name == "block":
        modules = dict[str, dict[str, Tensor]]()
        for parameter, value in weights.items():
            # all that is before the last dot is the module's name
            modules.setdefault(parameter.rpartition(".")[0], {})[parameter] = value
        return [_dense(group) for group in modules.values()]
    return _kronecker(weights, forward, reduce=name == "kronecker-reduce")


def _kronecker(
    weights: Mapping[str, Tensor], forward: Forward, *, reduce: bool
) -> list[CurvatureSum]:
    sums, rest = list[CurvatureSum](), dict(weights)
    for names, groups in _maps(forward).items():
        if all(name in rest for name in names):
            mine = {name: rest.pop(name) for name in names}
            sums.append(KroneckerSum(mine, groups, reduce=reduce))
    return [*sums, DiagonalSum(rest)] if rest else sums


def _maps(forward: Forward) -> dict[tuple[str, ...], int]:
    """Linear maps whose weight and bias are used nowhere else: (weight, bias) -> groups."""
    uses, maps = dict[str, set[tuple[str, ...]]](), dict[tuple[str, ...], int]()
    for record in forward.records:
        groups = record.call.maps
        kind = record.call.map if groups else ()
        if groups:
            maps[kind] = groups
        for name in record.call.names:
            uses.setdefault(name, set()).add(kind)
    # (A ⊗ B) holds for one map alone: a weight used elsewhere, too, adds products between uses
    return {
        names: groups
        for names, groups in maps.items()
        if all(uses[name] == {names} for name in names)
    }


def _dense(weights: Mapping[str, Tensor]) -> DenseSum:
    size = sum(value.numel() for value in weights.values())
    if size > DENSE_BLOCK_LIMIT:
        raise InputError(
            f"structure: a dense block of {size:,} weights, of which {next(iter(weights))!r} is "
            f"the first, is above the limit of {DENSE_BLOCK_LIMIT:,}; choose 'kronecker' or "
            "'diagonal', or fewer parameters"
        )
    return DenseSum(weights)
