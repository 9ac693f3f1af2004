"""From a model's outputs to the directions that curvature pulls back: one flat output a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.curvature.batches import Batch
from counterpoint.errors import InputError, nearest
from counterpoint.goals import Likelihood

__all__ = ["LABELS", "Heads", "Labels"]

Labels: TypeAlias = str
"""One of `LABELS`."""

LABELS = ("exact", "jac", "sampled", "empirical")
"""Which labels the gradients are taken at."""


@dataclass(frozen=True)
class Heads:
    """The likelihood of each head of a model, and what it makes of the head's output.

    Attributes:
        likelihoods: head -> likelihood; one head without a name is ``""``.
    """

    likelihoods: Mapping[str, Likelihood]

    @classmethod
    def of(cls, likelihood: Any) -> "Heads":
        """The heads of a likelihood, or of a mapping from head to likelihood.

        Raises:
            InputError: neither, or an empty mapping.
        """
        heads: Any = {"": likelihood} if isinstance(likelihood, Likelihood) else likelihood
        if not isinstance(heads, Mapping) or not heads:
            raise InputError(
                "likelihood: expected one of counterpoint.goals, or a mapping from head to one, "
                f"found {type(heads).__name__}"
            )
        for name, one in heads.items():
            if not isinstance(one, Likelihood):
                raise InputError(
                    f"likelihood: {name!r} must be one of counterpoint.goals, "
                    f"found {type(one).__name__}"
                )
        return cls(dict(heads))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the heads; empty where there is one without a name."""
        return tuple(name for name in self.likelihoods if name)

    def outputs(self, found: Any) -> dict[str, Tensor]:
        """The output of each head out of what the model returned.

        Raises:
            InputError: the model returned something else, or lacks a head.
        """
        if not self.names:
            found = getattr(found, "logits", found)
            if not isinstance(found, Tensor):
                raise InputError(
                    f"model: expected one output tensor, found a {type(found).__name__}; "
                    "for several heads pass a mapping from head to likelihood"
                )
            return {"": found}
        if not isinstance(found, Mapping):
            raise InputError(
                f"model: expected a mapping with the heads {', '.join(self.names)}, "
                f"found a {type(found).__name__}"
            )
        missing = [name for name in self.names if name not in found]
        if missing:
            raise InputError(
                f"model: no output for the head {missing[0]!r}{nearest(missing[0], found)}"
            )
        return {name: found[name] for name in self.names}

    def columns(
        self,
        outputs: Mapping[str, Tensor],
        batch: Batch,
        labels: Labels,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "columns rows outputs"]:
        r"""Directions ``s_k`` at the flat output, ``Σ_k s_k s_k'`` the middle matrix of a row.

        ``exact``: the Fisher information of the output, in its closed form. ``jac``: the identity.
        ``sampled``: the gradient at labels drawn from the model's own prediction, one draw a row.
        ``empirical``: the gradient at the labels observed. Rows are scaled by the root of their
        weight.

        Args:
            outputs: of each head, detached.
            batch: targets and weights.
            labels: which.
            generator: source of randomness for ``sampled``.
        """
        if labels == "exact":
            parts = {name: self.likelihoods[name].root(value) for name, value in outputs.items()}
            result = _stack({name: part.flatten(2) for name, part in _wide(parts).items()})
        elif labels == "jac":
            result = identity(flat(outputs))
        else:
            result = self._gradient(outputs, batch, labels, generator)
        if batch.weight is not None:
            result = result * batch.weight.to(result).sqrt()[None, :, None]
        return result

    def _gradient(
        self,
        outputs: Mapping[str, Tensor],
        batch: Batch,
        labels: Labels,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "columns rows outputs"]:
        targets: Mapping[str, Tensor]
        if labels == "sampled" and generator is not None:
            targets = {
                name: self.likelihoods[name].draw(value, generator)
                for name, value in outputs.items()
            }
        else:
            targets = self.targets(batch)
        leaves = {name: value.clone().requires_grad_() for name, value in outputs.items()}
        with torch.enable_grad():
            total = self.nll(leaves, targets)
        gradients = torch.autograd.grad(total, list(leaves.values()))
        return flat(dict(zip(leaves, gradients, strict=True)))[None]

    def nll(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Negative log likelihood, summed over rows and heads, in nats."""
        each = [self._each(name, outputs[name], targets[name]) for name in outputs]
        return torch.stack([part.sum() for part in each]).sum()

    def weighted_nll(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Negative log likelihood with row weights, summed over rows and heads."""
        targets = self.targets(batch)
        total = torch.stack([self._each(n, outputs[n], targets[n]) for n in outputs]).sum(0)
        return total.sum() if batch.weight is None else total @ batch.weight.to(total)

    def _each(self, name: str, output: Tensor, target: Tensor) -> Tensor:
        try:
            return self.likelihoods[name].nll_each(output, target)
        except InputError as error:
            where = f"head {name!r}: " if name else ""
            raise InputError(f"{where}the likelihood does not fit the model: {error}") from error

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """The target of each head.

        Raises:
            InputError: the batch has none.
        """
        found = batch.target if isinstance(batch.target, Mapping) else {"": batch.target}
        names = self.names or ("",)
        absent = [name for name in names if found.get(name) is None]
        if absent:
            what = f"the head {absent[0]!r}" if absent[0] else "the labels"
            raise InputError(
                f"batch: no target for {what}; yield (x, y) or a mapping with a target, "
                "or use labels='exact'"
            )
        return {name: value for name in names if (value := found[name]) is not None}


def flat(outputs: Mapping[str, Tensor]) -> Float[Tensor, "rows outputs"]:
    """All heads side by side, one row an example."""
    parts = [value.reshape(value.shape[0], -1) for value in outputs.values()]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def identity(output: Float[Tensor, "rows outputs"]) -> Float[Tensor, "outputs rows outputs"]:
    """One direction an output."""
    count = output.shape[1]
    eye = torch.eye(count, dtype=output.dtype, device=output.device)
    return eye[:, None, :].expand(count, output.shape[0], count)


def _wide(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Roots of ``(rows,)`` outputs with a last axis of one."""
    return {name: part[..., None] if part.ndim == 2 else part for name, part in parts.items()}


def _stack(parts: Mapping[str, Tensor]) -> Float[Tensor, "columns rows outputs"]:
    """Columns of each head, zero at the other heads."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    width = sum(part.shape[2] for part in parts.values())
    columns, place = list[Tensor](), 0
    for part in parts.values():
        wide = part.new_zeros(part.shape[0], part.shape[1], width)
        wide[:, :, place : place + part.shape[2]] = part
        columns.append(wide)
        place += part.shape[2]
    return torch.cat(columns)
