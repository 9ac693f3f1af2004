"""The exact Hessian of the negative log likelihood: in full or its diagonal, for small models."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from counterpoint.curvature._examples import Examples
from counterpoint.curvature._gradients import gradients
from counterpoint.curvature.reading._modes import refuse_modes, refuse_unrepeatable
from counterpoint.curvature.reading._probe import weights_of
from counterpoint.data import Batch, DataLike, Unpack
from counterpoint.errors import InputError, one_of
from counterpoint.gaussian import Dense, Diagonal
from counterpoint.goals import Heads, Likelihood
from counterpoint.parameters import Pattern, flatten, unflatten, unwrapped
from counterpoint.seeding import generator

LIMIT = 16384
"""Most weights: the cost is a backward pass for each."""

_ASYMMETRY = {torch.float64: 1e-9, torch.float32: 1e-4}

# directions in one vectorised pass: each holds gradients of every activation
_TOGETHER = 32


@torch.inference_mode(False)
def hessian(
    model: nn.Module,
    likelihood: Likelihood | Mapping[str, Likelihood],
    data: DataLike,
    *,
    structure: str = "dense",
    parameters: Pattern | None = None,
    unpack: Unpack | None = None,
) -> Dense | Diagonal:
    r"""The Hessian :math:`\sum_n w_n \nabla^2 \ell_n`, exact, by one product for each weight.

    It need not be positive definite: asking the result to solve, or for its determinant, may be
    refused with the eigenvalue found. For piecewise linear models (ReLU, max pooling) in which no
    weight acts on what another of its own layer made, its diagonal is that of `ggn`, which costs a
    thousandth.

    Args:
        model: in evaluation mode.
        likelihood: of the output.
        data: batches, iterated once.
        structure: ``"dense"`` or ``"diagonal"``; both cost the same time.
        parameters: which weights; none means all that are trained.
        unpack: reads a batch.

    Raises:
        InputError: more weights than `LIMIT`, or as `fisher`.

    For linear least squares it is :math:`X^\top X / \sigma^2`, here of variance 1:

    >>> from counterpoint.goals import Normal
    >>> x, line = torch.tensor([[1.0], [2.0]]), nn.Linear(1, 1, bias=False)
    >>> hessian(line, Normal(), [(x, x)]).dense()
    tensor([[5.]], dtype=torch.float64)
    """
    structure = one_of("structure", structure, ("dense", "diagonal"))
    model, heads = unwrapped(model), Heads.of(likelihood)
    refuse_modes(model)
    weights = weights_of(model, parameters)
    size = sum(value.numel() for value in weights.values())
    if size > LIMIT:
        raise InputError(
            f"hessian: {size:,} weights are above the limit of {LIMIT:,}; choose fewer parameters, "
            "or curvature.product for products with vectors"
        )
    total = torch.zeros(
        (size, size) if structure == "dense" else size,
        dtype=torch.float64,
        device=next(iter(weights.values())).device,
    )
    # a loader may draw from the global generator; what it drew is put back
    with torch.random.fork_rng(devices=[]):
        examples = Examples(data, unpack, heads, total.device)
        few = examples.first.take(slice(0, 3))
        refuse_unrepeatable(model, heads, few)
        refuse_asymmetric(model, heads, weights, few)
        for number, batch in examples:
            for start, rows in _rows(model, heads, weights, batch, number):
                stop = start + len(rows)
                total[start:stop] += rows if total.ndim == 2 else _own(rows, start)
    dtype = next(iter(weights.values())).dtype
    if structure == "diagonal":
        return Diagonal({n: v.to(dtype) for n, v in unflatten(total, weights).items()})
    shapes = {name: value.shape for name, value in weights.items()}
    # symmetric but for rounding, and a factorisation reads one triangle alone
    return Dense((total + total.T) / 2, shapes)


def gradient(
    model: nn.Module,
    heads: Heads,
    weights: Mapping[str, Tensor],
    batch: Batch,
    number: int,
) -> Float[Tensor, " total"]:
    """The gradient of a batch's summed loss, with a graph for another derivative."""
    # the fused attention kernels have no second derivative
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        loss = heads.weighted_nll(heads.outputs(batch.call(model)), batch)
        if not bool(torch.isfinite(loss)):
            raise InputError(f"batch {number}: the loss is not finite")
        return flatten(gradients(loss, weights, graph=True))


def refuse_asymmetric(
    model: nn.Module, heads: Heads, weights: Mapping[str, Tensor], batch: Batch
) -> None:
    """Refuse a model whose second derivatives cannot be right, since ``u'H v`` is not ``v'H u``."""
    # torch 2.13's own second derivative of its fused weight norm is such a one
    first = gradient(model, heads, weights, batch, 0)
    if not first.requires_grad:
        return
    draw = torch.randn(2, len(first), generator=generator(0), dtype=torch.float64)
    one, two = draw.to(first)
    pulled = [flatten(gradients(first, weights, vector)) for vector in (one, two)]
    apart = float(two @ pulled[0] - one @ pulled[1])
    scale = float(two.norm() * pulled[0].norm() + one.norm() * pulled[1].norm())
    if abs(apart) > _ASYMMETRY.get(first.dtype, 3e-2) * scale:
        raise InputError(
            f"model: its second derivatives are not symmetric (off by {abs(apart) / scale:.1e}), so"
            " torch has a wrong one of some operation (the fused weight norm is one); use fisher or"
            " ggn, which need none, or write that operation in plain ones"
        )


def _rows(
    model: nn.Module, heads: Heads, weights: Mapping[str, Tensor], batch: Batch, number: int
) -> Iterator[tuple[int, Tensor]]:
    """The Hessian's rows, some at a time, each block with the place of its first."""
    first = gradient(model, heads, weights, batch, number)
    size = len(first)
    # a gradient that does not depend on the weights: the Hessian is zero
    if not first.requires_grad:
        return
    for start in range(0, size, _TOGETHER):
        stop = min(start + _TOGETHER, size)
        directions = torch.zeros(stop - start, size, dtype=first.dtype, device=first.device)
        directions[torch.arange(stop - start), torch.arange(start, stop)] = 1
        parts = gradients(first, weights, directions, many=True)
        yield start, torch.cat([part.reshape(len(part), -1) for part in parts.values()], 1)


def _own(rows: Tensor, start: int) -> Tensor:
    return rows[torch.arange(len(rows)), torch.arange(start, start + len(rows))]
