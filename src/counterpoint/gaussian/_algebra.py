"""Adding precisions: closed where it is closed, else a sum."""

from collections.abc import Callable, Sequence
from functools import reduce

from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.gaussian._block import Block
from counterpoint.gaussian._dense import Dense
from counterpoint.gaussian._diagonal import Diagonal, Isotropic
from counterpoint.gaussian._kronecker import Kronecker
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._sum import Sum, aligned
from counterpoint.gaussian._vectors import number


def add(a: Precision, b: Precision) -> Precision:
    """``P_a + P_b``: two independent pieces of evidence about the same weights.

    Isotropic, diagonal and dense matrices are closed under it, and so is a Kronecker product plus
    a multiple of the identity. Blocks add part by part, so that only what has to be a `Sum` is one.

    Raises:
        InputError: they are not about the same weights.
    """
    agree(a, b)
    return _closed(a, b) or _by_parts(a, b, _added)


def pool(a: Precision, b: Precision) -> Precision:
    """The same approximation over the joined data: what one pass over both would have found.

    Kronecker factors and their counts add, ``(L_a + L_b) ⊗ (R_a + R_b) / (n_a + n_b)``, which is
    not ``P_a + P_b``: use it to join batches or ranks of one data set, `add` for two posteriors.
    For all other structures it is `add`.

    Raises:
        InputError: they are not about the same weights.
    """
    agree(a, b)
    return _by_parts(a, b, _pooled)


def subtract(a: Precision, b: Precision) -> Precision:
    """``P_a - P_b``, what `add` of ``P_b`` undoes.

    Raises:
        InputError: they are not about the same weights, or the result is not positive definite
            (says the eigenvalue found).
    """
    result = add(a, b.scaled(-1.0))
    least = result.least()
    if not least > 0:
        raise InputError(
            f"quotient: the precision that remains must be positive definite, found a least"
            f" eigenvalue of {least:.6g}; the divisor knows more than the product"
        )
    return result


def agree(a: Precision, b: Precision) -> None:
    """Refuse precisions of different weights.

    Raises:
        InputError: names or shapes differ.
    """
    for name in {**a.shapes, **b.shapes}:
        if a.shapes.get(name) != b.shapes.get(name):
            found = " and ".join(
                "none" if shape is None else str(tuple(shape))
                for shape in (a.shapes.get(name), b.shapes.get(name))
            )
            raise InputError(
                f"precision: {name!r} must have the same shape on both sides, found {found}"
            )


def _parts(a: Precision) -> Sequence[Precision]:
    return a.parts if isinstance(a, Block) else (a,)


def _by_parts(
    a: Precision, b: Precision, join: Callable[[Precision, Precision], Precision]
) -> Precision:
    """Join what shares names, in the finest partition that both sides allow."""
    groups: list[tuple[list[Precision], list[Precision]]] = [([part], []) for part in _parts(a)]
    for part in _parts(b):
        shared = [group for group in groups if _share(group[0] + group[1], part)]
        first = shared[0]
        # a part that spans several groups makes them one
        for other in shared[1:]:
            first[0].extend(other[0])
            first[1].extend(other[1])
            groups.remove(other)
        first[1].append(part)
    parts = tuple(join(_block(one), _block(two)) for one, two in groups)
    return parts[0] if len(parts) == 1 else Block(parts)


def _pooled(a: Precision, b: Precision) -> Precision:
    if isinstance(a, Kronecker) and isinstance(b, Kronecker):
        return a.pooled(b)
    return _added(a, b)


def _added(a: Precision, b: Precision) -> Precision:
    return _closed(a, b) or _together(a, b)


def _closed(a: Precision, b: Precision) -> Precision | None:
    for first, second in ((a, b), (b, a)):
        levels = _levels(first)
        if levels is not None and not isinstance(second, Sum):
            return second.shift(levels)
        if isinstance(first, Diagonal) and not isinstance(second, Sum | Kronecker):
            return second.shift(first.values)
        # whatever the other is: the matrix is there already, so nothing is cheaper
        if isinstance(first, Dense):
            return Dense(first.dense() + aligned(second, first.shapes), first.shapes)
    return None


def _levels(a: Precision) -> dict[str, float | Tensor] | None:
    """One number a name, where that is all: what keeps a Kronecker product one, if all agree."""
    parts = [part for part in _parts(a) if isinstance(part, Isotropic)]
    if len(parts) < len(_parts(a)):
        return None
    return {name: part.value for part in parts for name in part.shapes}


def _share(parts: Sequence[Precision], part: Precision) -> bool:
    return any(part.shapes.keys() & other.shapes.keys() for other in parts)


def _block(parts: Sequence[Precision]) -> Precision:
    return parts[0] if len(parts) == 1 else Block(tuple(parts))


def _together(a: Precision, b: Precision) -> Precision:
    """What is not closed: its diagonal members as one, one member for each set of factors."""
    members = [
        member for each in (a, b) for member in (each.members if isinstance(each, Sum) else (each,))
    ]
    light: list[Precision] = []
    layers: dict[int, Kronecker] = {}
    rest: list[Precision] = []
    for member in members:
        if isinstance(member, Isotropic):
            light.append(member)
        elif (values := member.independent) is not None:
            light.append(Diagonal(values))
        elif isinstance(member, Kronecker):
            # the deltas gather in one place, where a later shift or quotient finds all of them
            light.append(Isotropic(member.delta, member.shapes))
            key, bare = id(member.factors), Kronecker(member.factors, member.scale)
            scale = layers[key].scale + bare.scale if key in layers else bare.scale
            layers[key] = Kronecker(member.factors, scale)
        else:
            rest.append(member)
    heavy = [layer for layer in layers.values() if number(layer.scale) != 0] + rest
    if not heavy:
        return reduce(add, light)
    if light:
        lightest = reduce(add, light)
        if isinstance(lightest, Isotropic):
            heavy[0] = heavy[0].shift(lightest.value)
        else:
            heavy.append(lightest)
    return heavy[0] if len(heavy) == 1 else Sum(tuple(heavy))
