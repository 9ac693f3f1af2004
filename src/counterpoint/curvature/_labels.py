"""From a model's outputs to the directions that curvature pulls back: one flat output a row."""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from counterpoint.data import Batch
from counterpoint.goals import Heads

Labels: TypeAlias = str
"""One of `LABELS`."""

LABELS = ("exact", "jac", "sampled", "empirical")
"""Which labels the gradients are taken at."""


def directions(
    heads: Heads,
    outputs: Mapping[str, Tensor],
    batch: Batch,
    labels: Labels,
    generator: torch.Generator | None,
) -> Float[Tensor, "columns rows outputs"]:
    r"""Directions ``s_k`` at the flat output, ``Σ_k s_k s_k'`` the middle matrix of a row.

    ``exact``: the Fisher information of the output, in its closed form. ``jac``: the identity.
    ``sampled``: the gradient at labels drawn from the model's own prediction, one draw a row.
    ``empirical``: the gradient at the labels observed. Rows are scaled by the root of their
    weight, of the batch's and of what their target counts.
    """
    heads.check(outputs, batch)
    if labels == "exact":
        parts = {name: heads.likelihoods[name].root(value) for name, value in outputs.items()}
        result = _stack({name: part.flatten(2) for name, part in _wide(parts).items()})
    elif labels == "jac":
        result = identity(flat(outputs))
    else:
        result = _gradient(heads, outputs, batch, labels, generator)
    result = _counted(result, heads, outputs, heads.target_weights(batch))
    if batch.weight is not None:
        # (√w s)(√w s)' = w s s'
        result = result * batch.weight.to(result).sqrt()[None, :, None]
    return result


def _gradient(
    heads: Heads,
    outputs: Mapping[str, Tensor],
    batch: Batch,
    labels: Labels,
    generator: torch.Generator | None,
) -> Float[Tensor, "columns rows outputs"]:
    targets: Mapping[str, Tensor]
    weights = dict[str, Tensor]()
    if labels == "sampled" and generator is not None:
        # a label that was drawn is one label: what weighs or smooths is of those observed
        heads = heads.plain
        targets = {
            name: heads.likelihoods[name].draw(value, generator) for name, value in outputs.items()
        }
    else:
        targets, weights = heads.targets(batch), heads.target_weights(batch)
    # the gradient by the output alone, hence leaves of their own; weights come later as roots
    leaves = {name: value.clone().requires_grad_() for name, value in outputs.items()}
    with torch.enable_grad():
        total = heads.nll(leaves, targets)
    gradients = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
    for name, weight in weights.items():
        # ∇(w ℓ) = w ∇ℓ: a row that counts w times has w ∇ℓ ∇ℓ', and its root comes later
        once = torch.where(weight > 0, 1 / weight, 0.0).to(gradients[name])
        gradients[name] *= heads.likelihoods[name].aligned(once, gradients[name])
    return flat(gradients)[None]


def _counted(
    columns: Float[Tensor, "columns rows outputs"],
    heads: Heads,
    outputs: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> Float[Tensor, "columns rows outputs"]:
    """Rows (or positions) scaled, under each head, by the root of what their target counts."""
    if not weights:
        return columns
    factors = {
        name: heads.likelihoods[name]
        .aligned(weights[name].to(columns).sqrt(), value)
        .expand_as(value)
        if name in weights
        else torch.ones_like(value, dtype=columns.dtype)
        for name, value in outputs.items()
    }
    return columns * flat(factors)


def flat(outputs: Mapping[str, Tensor]) -> Float[Tensor, "rows outputs"]:
    """All heads side by side, one row an example."""
    parts = [value.reshape(value.shape[0], -1) for value in outputs.values()]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def identity(
    output: Float[Tensor, "rows outputs"], chosen: Int64[Tensor, " chosen"] | None = None
) -> Float[Tensor, "chosen rows outputs"]:
    """One direction an output, or for each of some."""
    count = output.shape[1]
    chosen = torch.arange(count) if chosen is None else chosen
    # not rows of an identity, which of a long sequence would be larger than all else
    units = output.new_zeros(len(chosen), count)
    units[torch.arange(len(chosen)), chosen] = 1.0
    return units[:, None, :].expand(len(chosen), output.shape[0], count)


def _wide(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Roots of ``(rows,)`` outputs with a last axis of one."""
    return {name: part[..., None] if part.ndim == 2 else part for name, part in parts.items()}


def _stack(parts: Mapping[str, Tensor]) -> Float[Tensor, "columns rows outputs"]:
    """Columns of each head, zero at the other heads."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    width = sum(part.shape[2] for part in parts.values())
    # given their outputs heads are independent, so that nothing is between them
    found, place = list[Tensor](), 0
    for part in parts.values():
        wide = part.new_zeros(part.shape[0], part.shape[1], width)
        wide[:, :, place : place + part.shape[2]] = part
        found.append(wide)
        place += part.shape[2]
    return torch.cat(found)
