"""A Laplace approximation read back from what was stored of it, and from its model."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.curvature import linearise
from counterpoint.data import Unpack
from counterpoint.errors import InputError
from counterpoint.gaussian._state import precision_from
from counterpoint.goals import Likelihood
from counterpoint.parameters import named
from counterpoint.posterior._state import State
from counterpoint.posterior._status import TuningEnding
from counterpoint.posterior.laplace._laplace import Laplace
from counterpoint.posterior.laplace._marginal import DataFit
from counterpoint.posterior.laplace._prior import given
from counterpoint.storage import JSONValue

_FIT = ("nll", "residual", "numbers", "weight")


def laplace_from(
    spec: JSONValue,
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    likelihood: Likelihood | Mapping[str, Likelihood],
    batch: Any,
    *,
    unpack: Unpack | None = None,
) -> Laplace:
    """The posterior whose `Laplace.spec` and `Laplace.tensors` these are.

    Args:
        spec: of the posterior.
        tensors: of the posterior.
        model: with the weights that the posterior was made at, in evaluation mode.
        likelihood: the one of then.
        batch: any inputs; a few rows are looked at to find out how the model uses its weights.
        unpack: reads a batch.

    Raises:
        InputError: a part is missing, of another kind or shape, impossible, or does not belong to
            the model.
    """
    fields: dict[str, Any] = spec if isinstance(spec, dict) else {}
    for name in ("curvature", "scalable"):
        if name not in fields:
            raise InputError(f"laplace: {name!r} must be in the spec, found none")
    # shapes are seen to be the model's before anything is computed with them
    curvature = precision_from(fields["curvature"], _under("curvature/", tensors))
    weights = named(model)
    for name, shape in curvature.shapes.items():
        if name not in weights or weights[name].shape != shape:
            raise InputError(
                f"precision: the model has no parameter {name!r} of shape {tuple(shape)}"
            )
    found = linearise(
        model, likelihood, batch, parameters=_inside(curvature.shapes), unpack=unpack, check=False
    )
    mean = {name: value.detach().clone() for name, value in found.plan.weights.items()}
    prior = given(_under("prior/", tensors), curvature.shapes)
    (scale,) = _numbers(tensors, "noise_scale", 1)
    if not scale > 0:
        raise InputError(f"laplace: 'noise_scale' must be positive, found {scale:g}")
    fit = DataFit(**dict(zip(_FIT, _numbers(tensors, "fit", len(_FIT)), strict=True)))
    if "status" not in tensors or len(found_status := TuningEnding.decode(tensors["status"])) != 1:
        raise InputError("laplace: 'status' must name one ending")
    (status,) = found_status
    scalable, seen = bool(fields["scalable"]), State.of(found.plan.model)
    return Laplace(found, mean, curvature, prior, scale, fit, status, scalable, seen)


def _under(lead: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(lead): value for n, value in tensors.items() if n.startswith(lead)}


def _inside(names: Mapping[str, torch.Size]) -> Any:
    def inside(name: str, parameter: nn.Parameter) -> bool:
        del parameter
        return name in names

    return inside


def _numbers(tensors: Mapping[str, Tensor], name: str, count: int) -> list[float]:
    value = tensors.get(name)
    if value is None or value.numel() != count or not bool(torch.isfinite(value).all()):
        raise InputError(f"laplace: {name!r} must be {count} finite numbers, found {value}")
    return value.flatten().double().tolist()
