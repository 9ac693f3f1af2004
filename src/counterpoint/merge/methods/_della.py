"""Drop at random, small entries more often."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.errors import InputError
from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._dare import drop
from counterpoint.merge.methods._method import (
    MergedTensor,
    MergeMethod,
    sign_agreed,
    task_vectors,
)
from counterpoint.merge.methods._ties import check_density


@dataclass(frozen=True)
class Della(MergeMethod):
    r"""DELLA: `Dare` whose probability of keeping an entry rises with its rank, then signs agree.

    Entry i of n, in the order of magnitudes, is kept with probability
    :math:`p - \epsilon / 2 + \epsilon\, i / (n - 1)` and divided by it; entries that oppose the
    sign of the sum are left out, and the mean of the rest is added to the start.

    Deep et al. 2024, "DELLA-Merging: reducing interference in model merging through
    magnitude-based sampling", section 3 (ranks over a tensor, not over a row).

    Attributes:
        density: the share p that is kept on average.
        spread: the range ε of probabilities, at most such that all are between 0 and 1.
        seed: of the draws.

    Raises:
        InputError: the density is not between 0 and 1, or the spread leaves that range.
    """

    density: float = 0.5
    spread: float = 0.2
    seed: int = 0
    facts: ClassVar[Facts] = METHODS["della"]

    def __post_init__(self) -> None:
        check_density("della", self.density)
        if not 0 <= self.spread / 2 <= min(self.density, 1 - self.density):
            raise InputError(
                f"della: a spread of at most {2 * min(self.density, 1 - self.density):g} keeps all"
                f" probabilities between 0 and 1, found {self.spread}"
            )

    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """The start and the mean of what is left and agrees."""
        base, vectors = task_vectors(tensors, about)
        left = [
            drop(vector, self._chances(vector), self.seed, about.name, place)
            for place, vector in enumerate(vectors)
        ]
        agreed, count = sign_agreed(left, coefficients)
        return base + torch.stack(agreed).sum(0) / count

    def _chances(self, vector: Tensor) -> Tensor:
        # stable: which of equal magnitudes ranks first is decided by place, on every device
        order = vector.detach().abs().reshape(-1).argsort(stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        share = rank.to(vector.dtype) / max(len(order) - 1, 1) - 0.5
        return (self.density + self.spread * share).reshape(vector.shape)
