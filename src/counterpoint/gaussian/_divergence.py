"""The one trace that a divergence between Gaussians needs."""

import torch
from jaxtyping import Float64
from torch import Tensor

from counterpoint.gaussian._block import Block
from counterpoint.gaussian._precision import Precision
from counterpoint.gaussian._sum import aligned
from counterpoint.gaussian._vectors import cholesky, flat, small


def trace(a: Precision, b: Precision) -> Float64[Tensor, ""]:
    """``tr(P_a P_b⁻¹)``: closed where one is diagonal, block by block, else from dense matrices.

    Raises:
        InputError: neither is diagonal and there are more than 4096 weights in a block.
    """
    # tr(P_a P_b⁻¹) needs only the diagonals of both where either is diagonal
    if a.independent is not None or b.independent is not None:
        left, right = (flat(v, a.shapes).double() for v in (a.diagonal(), b.variances()))
        return left @ right
    if isinstance(a, Block) and isinstance(b, Block):
        parts = {frozenset(part.shapes): part for part in b.parts}
        if parts.keys() == {frozenset(part.shapes) for part in a.parts}:
            each = [trace(part, parts[frozenset(part.shapes)]) for part in a.parts]
            return torch.stack(each).sum()
    small(a.total, "divergence between these structures")
    # tr(P_a P_b⁻¹) = tr(L⁻¹ P_a L⁻') by one triangular solve each side, never an inverse
    root = cholesky(aligned(b, a.shapes), "precision")
    return torch.cholesky_solve(a.dense().double(), root).trace()
