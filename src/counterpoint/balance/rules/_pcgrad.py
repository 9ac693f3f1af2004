"""Gradient surgery: conflicts are projected away one after the other."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.balance._rule import RuleInputs, StatelessRule
from counterpoint.balance.rules._parts import arrays, tensor


@dataclass(frozen=True)
class PcGrad(StatelessRule):
    """``d = sum_i p_i g_i'``: each g_i without its conflicts; ``w = K`` times its coefficients.

    From g_i, ``<g_i', g_j> g_j / |g_j|^2`` is taken off whenever that product is negative, for
    all j in an order drawn for each i. Yu et al., Gradient Surgery for Multi-Task Learning,
    NeurIPS 2020, algorithm 1. Orders are drawn from the balancer's generator; with two goals
    there is nothing to draw. The preference multiplies each g_i'.
    """

    needs: ClassVar[str] = "gram"
    waits: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def weigh(self, inputs: RuleInputs) -> Float[Tensor, " goals"]:
        """Projections on unit gradients, in drawn orders."""
        cosines, norms, preference = arrays(inputs)
        goals = len(norms)
        draws = torch.rand(goals, goals, generator=inputs.generator, dtype=torch.float64)
        orders = draws.argsort(1).numpy()
        each = np.arange(goals)
        # <g', g_j> g_j / |g_j|^2 = <g', u_j> u_j: no norm but that of g_i itself enters.
        # Row i: the coefficients of g_i' on the unit gradients; all rows take one step at a time.
        rows = np.eye(goals)
        for step in range(goals):
            other = orders[:, step]
            product = np.einsum("il,il->i", rows, cosines[other])
            rows[each, other] -= np.where(other == each, 0.0, np.minimum(product, 0.0))
        return tensor(goals * ((preference * norms) @ rows) / norms)
