"""Memory aware synapses: how far each weight moves the size of the outputs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from counterpoint.continual._base import LearntTask
from counterpoint.continual._task_summary import TaskSummary
from counterpoint.continual._trained import trained
from counterpoint.continual.weights._quadratic_memory import QuadraticMemory
from counterpoint.curvature import linearise, over_ranks
from counterpoint.data import Batch
from counterpoint.errors import InputError, one_of
from counterpoint.gaussian import (
    Diagonal,
    FullJacobian,
    Gaussian,
    Jacobian,
    LayerJacobian,
    add_products,
    add_squares,
    chunks,
    explicit,
)
from counterpoint.parameters import evaluating

KINDS = ("absolute", "square")
_ROWS = 256
"""Rows of a batch whose Jacobians are held at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MAS(QuadraticMemory):
    r"""Memory aware synapses: how much each weight moves the squared norm of a row's outputs.

    .. math:: \Omega = \frac1N \sum_n \left| \partial_\theta \lVert f(x_n) \rVert^2 \right|,
        \qquad E(\theta) = \sum_k N_k \, \Omega_k^\top (\theta - \theta_K)^2

    (Aljundi et al. 2018, equations 3 to 5), each row for itself and not the mean of a batch, in
    which rows cancel. As a Gaussian it is ``N(θ_K, (2 Σ N_k Ω_k)⁻¹)``; with tasks of equal size the
    strength is the paper's λ. It needs no labels. The absolute value makes importances grow with
    the first power of the gradients, unlike any curvature; ``"square"`` takes the precision
    ``Σ_n (∂ 1/2 |f(x_n)|²)²`` instead. `EWC` with ``labels="jac"`` does the same for each output by
    itself.

    Attributes:
        importance: ``"absolute"`` as published, or ``"square"``.

    Raises:
        InputError: another importance.
    """

    importance: str = "absolute"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "importance", one_of("importance", self.importance, KINDS))

    def _remember(self, task: LearntTask) -> None:
        before = self._before(task.model)
        chosen = trained(task.model, self.parameters)
        weights = {name: weight.detach().clone() for name, weight in chosen.items()}
        # sums over rows: half precision would stop counting after a few hundred
        total = {
            name: torch.zeros_like(w, dtype=torch.promote_types(w.dtype, torch.float32))
            for name, w in weights.items()
        }
        seen = TaskSummary()
        with evaluating(task.model):
            for batch, jacobian in self._jacobians(task):
                seen.count(batch, task.heads)
                self._add(jacobian, total)
        rows = seen.judged()
        for name, value in total.items():
            if not bool(torch.isfinite(value).all()):
                raise InputError(f"task: the importance of {name!r} is not finite")
        # all importances so far around the latest weights, θ_K of the formula
        self._hold(before, Gaussian(weights, over_ranks(Diagonal(total)), rows), latest=True)

    def describe(self) -> dict[str, Any]:
        """The settings that what is held depends on, as plain values."""
        return {"memory": "MAS", "importance": self.importance}

    def _jacobians(self, task: LearntTask) -> Iterator[tuple[Batch, Jacobian]]:
        """The gradient of half the squared norm of each row's outputs, factored."""
        model, heads, linear = task.model, task.heads, None
        for batch in task.batches():
            for part in batch.parts(_ROWS):
                if linear is None:
                    chosen = self.parameters
                    linear = linearise(model, heads.likelihoods, part, parameters=chosen)
                outputs, jacobian = linear.jacobian(part)
                # ∂ ½|f|² = J'f: one combination of the outputs' Jacobians, so one column
                parts = [
                    (value * heads.likelihoods[name].used(value)).flatten(1)
                    for name, value in outputs.items()
                ]
                flat = torch.cat(parts, 1)
                if part.weight is not None:
                    # a row that counts w times adds w |g|, or w g²
                    power = 1.0 if self.importance == "absolute" else 0.5
                    flat = flat * part.weight.to(flat).pow(power)[:, None]
                yield part, [_along(entry, flat) for entry in jacobian]

    def _add(self, jacobian: Jacobian, total: Mapping[str, Tensor]) -> None:
        if self.importance == "square":
            add_squares(jacobian, total)
            return
        uses = Counter(name for entry in jacobian for name in entry.names)
        rest = {name: value.shape for name, value in total.items()}
        for entry in jacobian:
            # |Σ| is not Σ||: a weight used twice has to be multiplied out first
            once = all(uses[name] == 1 for name in entry.names)
            if isinstance(entry, LayerJacobian) and once and entry.inputs.shape[2] == 1:
                _add_absolute(entry, total)
                rest = {name: shape for name, shape in rest.items() if name not in entry.names}
        if rest:
            for part in chunks(jacobian, rest):
                for name, value in explicit(part, rest).items():
                    total[name].add_(value.abs().sum((0, 1)), alpha=4)


def _along(entry: Any, direction: Tensor) -> Any:
    """An entry for all outputs as one for their combination: ``J'f`` of each row."""
    name = "values" if isinstance(entry, FullJacobian) else "deltas"
    found: Tensor = getattr(entry, name)
    return replace(
        entry, **{name: torch.einsum("bk...,bk->b...", found, direction.to(found))[:, None]}
    )


def _add_absolute(entry: LayerJacobian, total: Mapping[str, Tensor]) -> None:
    """``4 Σ |d a'|``, which is ``4 Σ |d| |a|'``: twice for the gradient of |f|², twice for Ω."""
    deltas, inputs = 4 * entry.deltas[:, 0, :, 0].abs(), entry.inputs[:, :, 0].abs()
    groups, outputs = deltas.shape[1:]
    if entry.weight is not None and entry.weight in total:
        into = total[entry.weight].view(groups, outputs, -1)
        add_products(into, deltas.transpose(0, 1), inputs.transpose(0, 1))
    if entry.bias is not None and entry.bias in total:
        total[entry.bias].view(groups, outputs).add_(deltas.sum(0))
