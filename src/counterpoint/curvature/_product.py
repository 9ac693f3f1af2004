"""Products of curvature with vectors, for models of any size: nothing is ever stored."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from counterpoint.curvature._examples import Examples
from counterpoint.curvature._gradients import gradients
from counterpoint.curvature._hessian import gradient, refuse_asymmetric
from counterpoint.curvature._labels import directions, flat
from counterpoint.curvature.reading._modes import refuse_modes, refuse_unrepeatable
from counterpoint.curvature.reading._probe import weights_of
from counterpoint.data import Batch, DataLike, Unpack
from counterpoint.errors import InputError, nearest, one_of
from counterpoint.goals import Heads, Likelihood
from counterpoint.parameters import Pattern, flatten, unflatten, unwrapped

KINDS = ("hessian", "ggn", "jac")


@torch.inference_mode(False)
def product(
    model: nn.Module,
    likelihood: Likelihood | Mapping[str, Likelihood],
    data: DataLike,
    vector: Mapping[str, Tensor],
    *,
    kind: str = "ggn",
    parameters: Pattern | None = None,
    unpack: Unpack | None = None,
) -> dict[str, Tensor]:
    r"""``H v``, ``G v`` or ``J'J v``, summed over the data, by two derivatives and no matrix.

    Args:
        model: in evaluation mode.
        likelihood: of the output.
        data: batches, iterated once.
        vector: one value for each weight, by name.
        kind: ``"hessian"``, ``"ggn"`` (for these likelihoods the Fisher information) or ``"jac"``.
        parameters: which weights; none means all that are trained.
        unpack: reads a batch.

    Raises:
        InputError: a vector of other names or shapes, or as `fisher`.

    >>> from counterpoint.goals import Normal
    >>> x, line = torch.tensor([[1.0], [2.0]]), nn.Linear(1, 1, bias=False)
    >>> product(line, Normal(), [(x, x)], {"weight": torch.tensor([[3.0]])})  # (1² + 2²) 3
    {'weight': tensor([[15.]])}
    """
    kind = one_of("kind", kind, KINDS)
    model, heads = unwrapped(model), Heads.of(likelihood)
    refuse_modes(model)
    weights = weights_of(model, parameters)
    _refuse_other(vector, weights)
    along = flatten({name: vector[name] for name in weights})
    total = torch.zeros_like(along, dtype=torch.float64)
    # a loader may draw from the global generator; what it drew is put back
    with torch.random.fork_rng(devices=[]):
        examples = Examples(data, unpack, heads, along.device)
        few = examples.first.take(slice(0, 3))
        refuse_unrepeatable(model, heads, few)
        if kind == "hessian":
            refuse_asymmetric(model, heads, weights, few)
        for number, batch in examples:
            if kind == "hessian":
                first = gradient(model, heads, weights, batch, number)
                # H v = ∇(g · v) with v held (Pearlmutter 1994, section 3)
                total += _pulled(first, weights, along)
            else:
                total += _gauss_newton(model, heads, weights, batch, along, kind)
    return unflatten(total.to(along.dtype), weights)


def _gauss_newton(
    model: nn.Module,
    heads: Heads,
    weights: Mapping[str, Tensor],
    batch: Batch,
    along: Tensor,
    kind: str,
) -> Tensor:
    # the fused attention kernels have no second derivative
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        outputs = heads.outputs(batch.call(model))
        output = flat(outputs)
        # J v as the derivative of J'u by u: J'u is linear in u
        dummy = torch.zeros_like(output, requires_grad=True)
        pulled = flatten(gradients(output, weights, dummy, graph=True))
        (moved,) = torch.autograd.grad(pulled, dummy, along, retain_graph=True)
    detached = {name: value.detach() for name, value in outputs.items()}
    labels = "exact" if kind == "ggn" else "jac"
    columns = directions(heads, detached, batch, labels, None)
    # Σ_k s_k (s_k · J v): the middle matrix of a row is never formed
    middle = torch.einsum("kno,kn->no", columns, torch.einsum("kno,no->kn", columns, moved))
    return _pulled(output, weights, middle)


def _pulled(value: Tensor, weights: Mapping[str, Tensor], direction: Tensor) -> Tensor:
    # nothing depends on these weights any more: its derivative is zero
    if not value.requires_grad:
        return torch.zeros_like(direction)
    return flatten(gradients(value, weights, direction))


def _refuse_other(vector: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        if name not in vector:
            raise InputError(f"vector: no value for the parameter {name!r}{nearest(name, vector)}")
        if vector[name].shape != weight.shape:
            raise InputError(
                f"vector: {name!r} must have shape {tuple(weight.shape)}, "
                f"found {tuple(vector[name].shape)}"
            )
    unknown = sorted(set(vector) - set(weights))
    if unknown:
        raise InputError(
            f"vector: no parameter {unknown[0]!r} among those asked for"
            f"{nearest(unknown[0], weights)}"
        )
