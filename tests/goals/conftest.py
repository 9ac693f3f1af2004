"""The likelihoods and what they are fed: a new likelihood is one row here."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from counterpoint.goals import (
    Bernoulli,
    Categorical,
    HeteroscedasticNormal,
    Likelihood,
    NegativeBinomial,
    Normal,
    Poisson,
)


@dataclass(frozen=True)
class Case:
    """A likelihood, outputs of one row, and a target drawn for given outputs."""

    name: str
    make: Callable[[], Likelihood]
    columns: int | None
    draw: Callable[[Tensor, torch.Generator], Tensor]

    def batch(self, rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Outputs and targets in float64 from a generator of their own."""
        generator = torch.Generator().manual_seed(seed)
        shape = (rows,) if self.columns is None else (rows, self.columns)
        output = torch.randn(shape, generator=generator, dtype=torch.float64)
        return output, self.draw(output, generator)


def _normal(output: Tensor, generator: torch.Generator) -> Tensor:
    return output + torch.randn(output.shape, generator=generator, dtype=output.dtype)


def _classes(output: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(output.shape[1], (output.shape[0],), generator=generator)


def _rows(output: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(output.shape, generator=generator, dtype=output.dtype).softmax(1)


def _coin(output: Tensor, generator: torch.Generator) -> Tensor:
    return torch.bernoulli(output.sigmoid(), generator=generator)


def _count(output: Tensor, generator: torch.Generator) -> Tensor:
    return torch.poisson(output.exp(), generator=generator)


def _learned() -> Likelihood:
    likelihood = Normal("learned", outputs=3).double()
    with torch.no_grad():
        likelihood.log_noise.copy_(torch.tensor([-1.0, 0.0, 0.5]))
    return likelihood


def _scattered(output: Tensor, generator: torch.Generator) -> Tensor:
    mean, log_variance = output.chunk(2, dim=1)
    return mean + (log_variance / 2).exp() * torch.randn(
        mean.shape, generator=generator, dtype=mean.dtype
    )


def _learned_dispersion() -> Likelihood:
    likelihood = NegativeBinomial().double()
    with torch.no_grad():
        likelihood.log_dispersion.copy_(torch.tensor(-0.7))
    return likelihood


NOISES = torch.tensor([0.1, 1.0, 7.0], dtype=torch.float64)

CASES = [
    Case("normal", Normal, None, _normal),
    Case("normal one column", lambda: Normal(noise=0.3), 1, _normal),
    Case("normal noise each", lambda: Normal(noise=NOISES), 3, _normal),
    Case("normal learned", _learned, 3, _normal),
    Case("categorical", Categorical, 4, _classes),
    Case("categorical rows", Categorical, 4, _rows),
    Case("bernoulli", Bernoulli, None, _coin),
    Case("bernoulli columns", Bernoulli, 3, _coin),
    Case("poisson", Poisson, None, _count),
    Case("poisson columns", Poisson, 2, _count),
    Case("negative binomial", lambda: NegativeBinomial(0.5), None, _count),
    Case("negative binomial learned", _learned_dispersion, 2, _count),
    Case("heteroscedastic normal", HeteroscedasticNormal, 2, _scattered),
    Case("heteroscedastic normal columns", HeteroscedasticNormal, 6, _scattered),
]


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    """Each likelihood in turn."""
    return request.param
