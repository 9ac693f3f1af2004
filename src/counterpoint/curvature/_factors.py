"""Running sums of the Kronecker factors of a linear map."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.curvature._sums import Total, wide
from counterpoint.errors import InputError
from counterpoint.gaussian import Factors, Jacobian, Kronecker, LayerJacobian, add_products


class KroneckerSum:
    """``Σ w a a'`` of a linear map's inputs, ``Σ d d'`` of its outputs' deltas.

    With weight sharing, ``expand`` takes every position for an example of its own; ``reduce`` the
    mean input and the summed delta of an example (Eschenhagen et al. 2023, eqs. 8 and 9). Unlike
    there, a position whose deltas are all zero (padding, a masked token; behind max pooling or dead
    units, too) does not count, so the factors do not depend on how far a batch was padded.
    """

    def __init__(self, weights: Mapping[str, Tensor], groups: int, *, reduce: bool = False) -> None:
        self.names, self.joint, self.pooled = frozenset(weights), False, False
        self._names, self._reduce = tuple(weights), reduce
        self._weight = next(iter(weights.values()))
        outputs, inputs = self._weight.shape[0] // groups, self._weight[0].numel()
        self._left = Total(self._weight, torch.Size([groups, outputs, outputs]))
        self._right = Total(self._weight, torch.Size([groups, inputs, inputs]))
        self._sums = Total(self._weight, torch.Size([groups, inputs]))
        self._count = torch.zeros((), dtype=torch.float64, device=self._weight.device)

    def add(self, jacobian: Jacobian, weight: Float[Tensor, " rows"] | None) -> None:
        """Add some examples."""
        for entry in jacobian:
            if isinstance(entry, LayerJacobian):
                self._add(entry, weight)
            elif not self.names.isdisjoint(entry.names):
                raise InputError(
                    f"structure: {self._names[0]!r} was a linear map of examples in the first "
                    "batch and is used in another way here; choose 'diagonal' or 'block' for it"
                )

    def _add(self, entry: LayerJacobian, weight: Float[Tensor, " rows"] | None) -> None:
        inputs, deltas, used = entry.inputs, entry.deltas, _used(entry, weight)
        if self._reduce and entry.inputs.shape[2] > 1:
            inputs, deltas, used = _reduced(inputs, deltas, used)
        counted = inputs if used is None else inputs * used.expand(inputs.shape[:3])[..., None]
        _add_gram(self._right.part, inputs, counted)
        # directions count as examples do: Σ_n Σ_k d_nk d_nk'
        deltas = deltas.flatten(0, 1)
        _add_gram(self._left.part, deltas, deltas)
        self._sums.part.add_(counted.sum((0, 2)))
        self._count += inputs.shape[0] * inputs.shape[2] if used is None else used.sum()
        for total in (self._left, self._right, self._sums):
            total.added()

    def result(self) -> Kronecker:
        """The factors; a bias is a last input of one."""
        name, bias = (*self._names, None)[:2]
        left, right = self._left.value(), self._right.value()
        if bias is not None:
            sums = self._sums.value()[:, :, None]
            # the bias is an input of one: its row of Σ a a' is the sum of inputs, and the count
            corner = self._count.expand(right.shape[0], 1, 1)
            right = torch.cat([torch.cat([right, sums], 2), torch.cat([sums.mT, corner], 2)], 1)
        shape, dtype = self._weight.shape, wide(self._weight.dtype)
        factors = Factors(str(name), bias, shape, left.to(dtype), right.to(dtype), self._count)
        return Kronecker(factors)


def _add_gram(
    total: Float[Tensor, "groups width width"],
    left: Float[Tensor, "rows groups positions width"],
    right: Float[Tensor, "rows groups positions width"],
) -> None:
    """``total += Σ left' right`` over rows and positions, in place."""
    if left.shape[2] > 1 and left.stride(3) != 1:
        # positions are next to each other in memory (patches): one product a row needs no copy
        total += (left.mT @ right).sum(0)
    else:
        wide, tall = (side.transpose(0, 1).flatten(1, 2) for side in (left, right))
        add_products(total, wide, tall)


def _used(entry: LayerJacobian, weight: Float[Tensor, " rows"] | None) -> Tensor | None:
    """How much each row and position counts; none where each counts once."""
    used = None if weight is None else weight.to(entry.inputs)[:, None, None]
    if entry.inputs.shape[2] == 1:
        return used
    if bool(entry.deltas[:, 0, 0, :, 0].all()):  # one output that is reached is enough
        return used
    reached = entry.deltas.any(4).any(1).any(1)[:, None, :].to(entry.inputs)
    return reached if used is None else used * reached


def _reduced(
    inputs: Tensor, deltas: Tensor, used: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mean input, summed delta, and weight of each example, over its positions."""
    if used is None:
        return inputs.mean(2, keepdim=True), deltas.sum(3, keepdim=True), None
    used = used.expand(inputs.shape[0], 1, inputs.shape[2])
    total = (used > 0).to(inputs).sum(2, keepdim=True)
    share = (used > 0).to(inputs) / total.clamp_min(1)
    mean = (inputs * share[..., None]).sum(2, keepdim=True)
    return mean, deltas.sum(3, keepdim=True), used.amax(2, keepdim=True)
