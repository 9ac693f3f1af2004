"""Aligned principal components: the gradients made orthogonal and equally long."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.program import FLAT
from counterpoint.balance.rules._parts import arrays, tensor


@dataclass(frozen=True)
class AlignedMtl(StatelessRule):
    """``d = (1/K) sum_k p_k h_k``: h = ``s_min U V'`` for the gradients' ``J = U S V'``.

    Senushkin et al., Independent Component Alignment for Multi-Task Learning, CVPR 2023,
    algorithm 1: among all sets of orthogonal vectors of one length s_min (the least singular value
    that is not 0) the nearest to J. ``w = s_min U S^-1 U' p``. Eigenvalues of the cosines
    below 1e-12 and singular values below 1e-12 of the largest count as 0.
    """

    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """From the singular values and right singular vectors of a K x K root of G."""
        cosines, norms, preference = arrays(inputs)
        values, vectors = np.linalg.eigh(cosines)
        # Every R with R' R = G = J J' has the singular values S of J = U S V', and U on its right.
        # Singular values of a root of G, not eigenvalues of G: those are squares, and lose half
        # of the digits.
        values = np.where(values > FLAT * len(values), values, 0.0)
        root = np.sqrt(values)[:, None] * vectors.T * norms
        _, sizes, right = np.linalg.svd(root)
        kept = sizes > 1e-12 * sizes[0]
        parts = (right @ preference)[kept] * (sizes[kept].min() / sizes[kept])
        return tensor(right[kept].T @ parts)
