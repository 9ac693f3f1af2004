"""Functions of one goal that optimisers are tried on.

Formulas, boxes and minima: Surjanovic and Bingham, Virtual Library of Simulation Experiments,
Simon Fraser University, 2013.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from counterpoint.landscape.functions._formula import Formula, Problem


def _sphere(x: Tensor) -> Tensor:
    return x.square().sum(1)


def _rastrigin(x: Tensor) -> Tensor:
    return (10 + x.square() - 10 * (2 * torch.pi * x).cos()).sum(1)


def _ackley(x: Tensor) -> Tensor:
    # at 0 the square root has no slope; the smallest positive number keeps it finite, and there
    # the subgradient 0, which is among them, comes out
    length = x.square().mean(1).clamp_min(1e-300).sqrt()
    return -20 * (-0.2 * length).exp() - (2 * torch.pi * x).cos().mean(1).exp() + 20 + torch.e


def _griewank(x: Tensor) -> Tensor:
    index = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)
    return x.square().sum(1) / 4000 - (x / index.sqrt()).cos().prod(1) + 1


def _levy(x: Tensor) -> Tensor:
    w = 1 + (x - 1) / 4
    between = (w[:, :-1] - 1).square() * (1 + 10 * (torch.pi * w[:, :-1] + 1).sin().square())
    last = (w[:, -1] - 1).square() * (1 + (2 * torch.pi * w[:, -1]).sin().square())
    return (torch.pi * w[:, 0]).sin().square() + between.sum(1) + last


def _rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[:, 1:] - x[:, :-1].square()).square() + (1 - x[:, :-1]).square()).sum(1)


def _styblinski_tang(x: Tensor) -> Tensor:
    return (x**4 - 16 * x.square() + 5 * x).sum(1) / 2


def _schwefel(x: Tensor) -> Tensor:
    # sqrt|x| has no slope at 0, where x sin sqrt|x| has the slope 0
    root = x.abs().clamp_min(1e-300).sqrt()
    return (418.9828872724338 - x * root.sin()).sum(1)


def _himmelblau(x: Tensor) -> Tensor:
    a, b = x[:, 0], x[:, 1]
    return (a.square() + b - 11).square() + (a + b.square() - 7).square()


_CLASSIC: dict[str, tuple[Callable[[Tensor], Tensor], float, float, float, float]] = {
    # formula, low, high, every coordinate of the minimum, value there for one dimension
    "sphere": (_sphere, -5.12, 5.12, 0.0, 0.0),
    "rastrigin": (_rastrigin, -5.12, 5.12, 0.0, 0.0),
    "ackley": (_ackley, -32.768, 32.768, 0.0, 0.0),
    "griewank": (_griewank, -600.0, 600.0, 0.0, 0.0),
    "levy": (_levy, -10.0, 10.0, 1.0, 0.0),
    "rosenbrock": (_rosenbrock, -5.0, 10.0, 1.0, 0.0),
    "styblinski-tang": (_styblinski_tang, -5.0, 5.0, -2.9035340276896057, -39.16616570377142),
    "schwefel": (_schwefel, -500.0, 500.0, 420.96874633, 0.0),
    "himmelblau": (_himmelblau, -5.0, 5.0, float("nan"), 0.0),
}
CLASSIC = tuple(_CLASSIC)
"""Names of the functions of one goal; himmelblau is of two dimensions and has four minima."""


def classic(name: str, dimension: int) -> Problem:
    """One of `CLASSIC`, by its exact name."""
    formula, low, high, coordinate, lowest = _CLASSIC[name]
    # Himmelblau's four minima are equally low; (3, 2) is the one with whole coordinates
    known = [3.0, 2.0] if name == "himmelblau" else [coordinate] * dimension
    minimum = torch.tensor(known, dtype=torch.float64)
    landscape = Formula(
        lambda x: formula(x)[:, None], dimension, low=low, high=high, minimum=minimum
    )
    return Problem(landscape, lowest * dimension)
