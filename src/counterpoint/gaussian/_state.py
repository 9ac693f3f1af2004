"""Read a precision back from what its `spec` and `tensors` wrote, trusting neither."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from counterpoint.errors import InputError, nearest
from counterpoint.gaussian._block import Block
from counterpoint.gaussian._dense import Dense
from counterpoint.gaussian._diagonal import Diagonal, Isotropic
from counterpoint.gaussian._kronecker import Factors, Kronecker
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._sum import Sum
from counterpoint.storage import JSONValue


def precision_from(spec: JSONValue, tensors: Mapping[str, Tensor]) -> Precision:
    """The precision whose `spec` and `tensors` these are.

    Raises:
        InputError: an unknown kind, or tensors that are missing, of other shapes, not floating,
            not finite or not symmetric.
    """
    kind = _field(spec, "kind", str)
    if kind not in _KINDS:
        raise InputError(f"precision: no kind {kind!r}{nearest(kind, _KINDS)}")
    return _KINDS[kind](spec, tensors)


def _isotropic(spec: JSONValue, tensors: Mapping[str, Tensor]) -> Precision:
    return Isotropic(_tensor(tensors, "value", ()), _shapes(spec))


def _diagonal(spec: JSONValue, tensors: Mapping[str, Tensor]) -> Precision:
    names = _field(spec, "names", list)
    if not names:
        raise InputError("precision: a diagonal has at least one name, found none")
    return Diagonal({str(name): _tensor(tensors, str(name)) for name in names})


def _kronecker(spec: JSONValue, tensors: Mapping[str, Tensor]) -> Precision:
    weight, bias, shape = _field(spec, "weight", str), spec.get("bias"), _size(spec.get("shape"))
    if bias is not None and not isinstance(bias, str):
        raise InputError(f"precision: 'bias' must be a name or null, found {bias!r}")
    left, right = _matrix(tensors, "left"), _matrix(tensors, "right")
    inputs = right.shape[-1] - (bias is not None)
    if left.ndim != 3 or right.ndim != 3 or left.shape[0] != right.shape[0]:
        raise InputError(
            f"precision: 'left' and 'right' must be (groups, size, size), found"
            f" {tuple(left.shape)} and {tuple(right.shape)}"
        )
    if shape.numel() != left.shape[0] * left.shape[1] * inputs:
        raise InputError(
            f"precision: factors of {tuple(left.shape)} and {tuple(right.shape)} do not belong to a"
            f" weight of shape {tuple(shape)}"
        )
    count = _tensor(tensors, "count", ()).double()
    factors = Factors(weight, bias, shape, left, right, count)
    return Kronecker(factors, _field(spec, "scale", float), _field(spec, "delta", float))


def _dense(spec: JSONValue, tensors: Mapping[str, Tensor]) -> Precision:
    shapes, matrix = _shapes(spec), _matrix(tensors, "matrix")
    total = sum(shape.numel() for shape in shapes.values())
    if matrix.shape != (total, total):
        raise InputError(
            f"precision: 'matrix' must have shape {(total, total)}, found {tuple(matrix.shape)}"
        )
    return Dense(matrix, shapes, _field(spec, "scale", float), _field(spec, "delta", float))


def _block(spec: JSONValue, tensors: Mapping[str, Tensor]) -> Precision:
    return Block(_nested(_field(spec, "parts", list), tensors))


def _sum(spec: JSONValue, tensors: Mapping[str, Tensor]) -> Precision:
    members = _nested(_field(spec, "members", list), tensors)
    for member in members[1:]:
        if member.shapes != members[0].shapes:
            raise InputError("precision: members of a sum must have the same names and shapes")
    return Sum(members)


_KINDS: dict[str, Callable[[JSONValue, Mapping[str, Tensor]], Precision]] = {
    "isotropic": _isotropic,
    "diagonal": _diagonal,
    "kronecker": _kronecker,
    "dense": _dense,
    "block": _block,
    "sum": _sum,
}


def _nested(specs: list[Any], tensors: Mapping[str, Tensor]) -> tuple[Precision, ...]:
    found: list[Precision] = []
    for place, spec in enumerate(specs):
        lead = f"{place}/"
        mine = {n.removeprefix(lead): t for n, t in tensors.items() if n.startswith(lead)}
        found.append(precision_from(spec, mine))
    return tuple(found)


def _field(spec: JSONValue, name: str, kind: type[Any]) -> Any:
    value = spec.get(name) if isinstance(spec, dict) else None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind):
        raise InputError(f"precision: {name!r} must be a {kind.__name__}, found {value!r}")
    return value


def _size(found: JSONValue) -> torch.Size:
    good = isinstance(found, list) and all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in found
    )
    if not good:
        raise InputError(f"precision: a shape must be a list of sizes, found {found!r}")
    return torch.Size(found)


def _shapes(spec: JSONValue) -> dict[str, torch.Size]:
    found = dict[str, torch.Size]()
    for pair in _field(spec, "shapes", list):
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise InputError(f"precision: 'shapes' must be pairs of name and shape, found {pair!r}")
        found[pair[0]] = _size(pair[1])
    return found


def _tensor(
    tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...] | None = None
) -> Tensor:
    if name not in tensors:
        raise InputError(f"precision: no tensor {name!r}{nearest(name, tensors)}")
    tensor = tensors[name]
    if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
        raise InputError(f"precision: {name!r} must be floating and finite, found {tensor.dtype}")
    if shape is not None and tensor.shape != shape:
        raise InputError(
            f"precision: {name!r} must have shape {shape}, found {tuple(tensor.shape)}"
        )
    return tensor


def _matrix(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    tensor = _tensor(tensors, name)
    if tensor.ndim < 2 or tensor.shape[-1] != tensor.shape[-2]:
        raise InputError(f"precision: {name!r} must be square, found {tuple(tensor.shape)}")
    scale = tensor.abs().max() if tensor.numel() else tensor.new_zeros(())
    if bool(((tensor - tensor.mT).abs() > 1e-4 * scale).any()):
        raise InputError(f"precision: {name!r} must be symmetric, found a difference above 1e-4")
    return tensor
