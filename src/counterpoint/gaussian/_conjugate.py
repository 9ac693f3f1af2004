"""Conjugate gradients with a preconditioner (Hestenes & Stiefel 1952)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

Operator: TypeAlias = Callable[[Tensor], Tensor]
"""A symmetric positive definite matrix, as what it does to a flat vector."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Where conjugate gradients stopped.

    Attributes:
        vector: ``x``.
        residual: ``|b - A x| / |b|``, computed afresh.
        iterations: products with ``A`` that were needed.
    """

    vector: Float[Tensor, " total"]
    residual: float
    iterations: int


def conjugate_gradients(
    product: Operator,
    precondition: Operator,
    target: Float[Tensor, " total"],
    *,
    tolerance: float,
    most: int,
) -> Solution:
    """Solve ``A x = b``.

    Args:
        product: ``A v``.
        precondition: ``M v``, ``M`` close to ``A⁻¹``.
        target: ``b``.
        tolerance: the relative residual to reach.
        most: iterations at most.

    >>> import torch
    >>> half = conjugate_gradients(
    ...     lambda v: 2 * v, lambda v: v, torch.ones(2), tolerance=1e-6, most=5
    ... )
    >>> half.vector, half.iterations
    (tensor([0.5000, 0.5000]), 1)
    """
    # with a start of zero the first residual is b, and x = 0 is the answer where b is zero
    size = float(target.norm())
    x, rest = target.new_zeros(target.shape), target.clone()
    if size == 0:
        return Solution(x, 0.0, 0)
    near = precondition(rest)
    step, slope, used = near, rest @ near, 0
    while used < most and float(rest.norm()) > tolerance * size:
        image = product(step)
        curvature = step @ image
        if not float(curvature) > 0:
            break  # not positive definite (or not a number): the residual tells
        length = slope / curvature
        x, rest = x + length * step, rest - length * image
        near = precondition(rest)
        before, slope = slope, rest @ near
        step, used = near + (slope / before) * step, used + 1
    return Solution(x, float((target - product(x)).norm()) / size, used)
