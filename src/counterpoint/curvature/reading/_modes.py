"""Refuse a model whose examples are not independent, or whose outputs are not repeatable."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]

from counterpoint.curvature._labels import flat
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Heads

_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


def refuse_modes(model: nn.Module) -> None:
    """Refuse batch statistics and active dropout."""
    for name, module in model.named_modules():
        where = f"module {name!r} ({type(module).__name__})" if name else type(module).__name__
        # without running statistics evaluation mode, too, takes those of the batch
        statistics = isinstance(module, _BatchNorm) and not module.track_running_stats
        if isinstance(module, _BatchNorm) and (module.training or statistics):
            cause = "it keeps no running statistics" if statistics else "call model.eval() first"
            raise InputError(
                f"{where}: normalises with the statistics of the batch, so that no example has a "
                f"gradient of its own; {cause}"
            )
        rate = module.p if isinstance(module, _DropoutNd) else getattr(module, "dropout", 0.0)
        if module.training and isinstance(rate, int | float) and rate > 0:
            raise InputError(
                f"{where}: drops units at random, so that curvature would differ from run to "
                "run; call model.eval() first"
            )


def refuse_unrepeatable(model: nn.Module, heads: Heads, batch: Batch) -> None:
    """Refuse a model that gives the same rows other outputs in a second pass, or on their own."""

    def outputs(rows: slice) -> torch.Tensor:
        with torch.no_grad():
            return flat(heads.outputs(batch.take(rows).call(model)))

    everything = slice(0, batch.rows)
    first, second = outputs(everything), outputs(everything)
    if not bool(torch.isfinite(first).all()):
        raise InputError("model: the output is not finite in the first batch")
    if not _close(first, second):
        raise InputError(
            "model: the same rows have other outputs in a second pass; something is random "
            "(functional dropout, noise) or changes with use (statistics in training mode)"
        )
    # the definition of independent examples, whatever the modules are called
    alone = torch.cat([outputs(slice(row, row + 1)) for row in range(batch.rows)])
    if not _close(first, alone) and not _rounded(model, heads, batch, first, alone):
        raise InputError(
            "model: rows have other outputs alone than together; an operation mixes examples "
            "(batch statistics, attention across the batch, padding that counts)"
        )


def _close(left: torch.Tensor, right: torch.Tensor) -> bool:
    if left.shape != right.shape:
        return False
    # kernels differ with the number of rows, by rounding: a tolerance of the type
    tolerance = _TOLERANCE.get(left.dtype, 3e-2)
    left, right = left.double(), right.double()
    scale = float(torch.maximum(left.abs().amax(), right.abs().amax()))
    return bool((left - right).abs().amax() <= tolerance * scale)


def _rounded(
    model: nn.Module, heads: Heads, batch: Batch, first: torch.Tensor, alone: torch.Tensor
) -> bool:
    """Whether outputs differ by no more than rounding inside the layers explains.

    Outputs may be next to nothing beside the sums that they are the rest of. What rounding does to
    them is what a relative change of the weights of that size does (Higham 2002, section 3.1).
    """
    tolerance = _TOLERANCE.get(first.dtype, 3e-2)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        nudged = {
            name: weight * (1 + tolerance * _signs(weight, draw))
            for name, weight in model.named_parameters()
            if weight.is_floating_point()
        }
        moved = flat(heads.outputs(batch.call(_Nudged(model, nudged))))
    allowed = (moved.double() - first.double()).abs().amax()
    return bool((first.double() - alone.double()).abs().amax() <= allowed)


def _signs(like: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    found = torch.randint(2, like.shape, generator=draw) * 2 - 1
    return found.to(like.device, like.dtype)


class _Nudged(nn.Module):
    """A model with other values of its weights."""

    def __init__(self, model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.model = model
        self.weights = weights

    def forward(self, *inputs: object, **named: object) -> object:
        return torch.func.functional_call(self.model, self.weights, inputs, named)
