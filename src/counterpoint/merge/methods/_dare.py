"""Drop at random what was learnt, and make the rest greater."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

import torch
from torch import Tensor

from counterpoint.merge._plan import Coefficient
from counterpoint.merge._registry import METHODS, Facts
from counterpoint.merge.methods._method import (
    MergedTensor,
    MergeMethod,
    sign_agreed,
    task_vectors,
)
from counterpoint.merge.methods._ties import check_density


@dataclass(frozen=True)
class Dare(MergeMethod):
    r"""DARE, :math:`\theta_0 + \sum_k s_k (m_k \odot \tau_k) / p`, with masks m of probability p.

    What a model has learnt since the start is dropped entry by entry; what is left is divided by
    the share p that is kept, so that its expectation stays. Draws are seeded by the tensor's
    name and the model's place: neither the order of tensors nor how files are cut matters.

    Yu et al. 2024, "Language models are Super Mario: absorbing abilities from homologous models as
    a free lunch", equation 1.

    Attributes:
        density: the share p that is kept.
        elect: take the mean of those that agree in sign, as `Ties` does.
        seed: of the draws.

    Raises:
        InputError: the density is not between 0 and 1.
    """

    density: float = 0.5
    elect: bool = False
    seed: int = 0
    facts: ClassVar[Facts] = METHODS["dare"]

    def __post_init__(self) -> None:
        check_density("dare", self.density)

    def merge(
        self, tensors: Sequence[Tensor], coefficients: Sequence[Coefficient], about: MergedTensor
    ) -> Tensor:
        """The start and what is left."""
        base, vectors = task_vectors(tensors, about)
        left = [
            drop(vector, torch.full_like(vector, self.density), self.seed, about.name, place)
            for place, vector in enumerate(vectors)
        ]
        if self.elect:
            agreed, count = sign_agreed(left, coefficients)
            return base + torch.stack(agreed).sum(0) / count
        for vector, scale in zip(left, coefficients, strict=True):
            base = base + vector * scale
        return base


def drop(vector: Tensor, density: Tensor, seed: int, name: str, place: int) -> Tensor:
    """Entries kept with their probability and divided by it; drawn by name and model."""
    digest = sha256(f"{seed} {place} {name}".encode()).digest()
    random = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    # on the CPU wherever the weights are, so that a device does not change what is dropped
    drawn = torch.rand(vector.shape, generator=random).to(vector.device)
    return torch.where(drawn < density, vector / density, torch.zeros_like(vector))
