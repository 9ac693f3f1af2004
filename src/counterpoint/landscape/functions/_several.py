"""Functions of several goals with a Pareto front that is known.

Zitzler, Deb and Thiele, Comparison of Multiobjective Evolutionary Algorithms, Evolutionary
Computation 8(2), 2000 (ZDT); Deb, Thiele, Laumanns and Zitzler, Scalable Multi-Objective
Optimization Test Problems, CEC 2002 (DTLZ); Fonseca and Fleming, An Overview of Evolutionary
Algorithms in Multiobjective Optimization, Evolutionary Computation 3(1), 1995.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from counterpoint.landscape.functions._formula import Formula, Problem

_FRONT = 201  # points along a front of two goals


def _zdt(
    share: Callable[[Tensor, Tensor], Tensor], g: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """``f1 = x1``, ``f2 = g h(f1, g)``; lowest where g is 1."""

    def formula(x: Tensor) -> Tensor:
        rest = g(x[:, 1:])
        return torch.stack([x[:, 0], rest * share(x[:, 0], rest)], 1)

    return formula


def _plain(rest: Tensor) -> Tensor:
    return 1 + 9 * rest.mean(1)


def _bumpy(rest: Tensor) -> Tensor:
    return 1 + (10 + rest.square() - 10 * (4 * torch.pi * rest).cos()).sum(1)


def _root(f: Tensor, g: Tensor) -> Tensor:
    return 1 - (f / g).clamp_min(1e-300).sqrt()


def _square(f: Tensor, g: Tensor) -> Tensor:
    return 1 - (f / g).square()


def _broken(f: Tensor, g: Tensor) -> Tensor:
    return _root(f, g) - f / g * (10 * torch.pi * f).sin()


def _zdt6(x: Tensor) -> Tensor:
    first = 1 - (-4 * x[:, 0]).exp() * (6 * torch.pi * x[:, 0]).sin() ** 6
    g = 1 + 9 * x[:, 1:].mean(1).clamp_min(1e-300) ** 0.25
    return torch.stack([first, g * _square(first, g)], 1)


def _spherical(angles: Tensor, radius: Tensor) -> Tensor:
    """``radius cos … cos``, …, ``radius sin``: a point of the sphere by K - 1 angles."""
    columns = []
    for goal in range(angles.shape[1] + 1):
        value = radius * angles[:, : angles.shape[1] - goal].cos().prod(1)
        if goal:
            value = value * angles[:, angles.shape[1] - goal].sin()
        columns.append(value)
    return torch.stack(columns, 1)


def _dtlz(number: int, goals: int) -> Callable[[Tensor], Tensor]:
    def formula(x: Tensor) -> Tensor:
        place, rest = x[:, : goals - 1], x[:, goals - 1 :]
        middle = rest - 0.5
        waves = rest.shape[1] + (middle.square() - (20 * torch.pi * middle).cos()).sum(1)
        if number == 1:
            columns = []
            for goal in range(goals):
                value = place[:, : goals - 1 - goal].prod(1)
                columns.append(value * (1 - place[:, goals - 1 - goal]) if goal else value)
            return 0.5 * (1 + 100 * waves)[:, None] * torch.stack(columns, 1)
        if number == 7:
            g = 1 + 9 * rest.mean(1)
            h = goals - (place / (1 + g[:, None]) * (1 + (3 * torch.pi * place).sin())).sum(1)
            return torch.cat([place, ((1 + g) * h)[:, None]], 1)
        g = {3: 100 * waves, 6: (rest.clamp_min(1e-300) ** 0.1).sum(1)}.get(
            number, middle.square().sum(1)
        )
        if number == 4:
            place = place**100
        angles = torch.pi / 2 * place
        if number in (5, 6):  # all angles but the first shrink to pi / 4: the front is a curve
            tail = (1 + 2 * g[:, None] * place[:, 1:]) / (4 * (1 + g[:, None])) * torch.pi
            angles = torch.cat([angles[:, :1], tail], 1)
        return _spherical(angles, 1 + g)

    return formula


def _fonseca(x: Tensor) -> Tensor:
    centre = x.shape[1] ** -0.5
    return torch.stack([1 - (-(x - s * centre).square().sum(1)).exp() for s in (1, -1)], 1)


_ZDT = {
    "zdt1": _zdt(_root, _plain),
    "zdt2": _zdt(_square, _plain),
    "zdt3": _zdt(_broken, _plain),
    "zdt4": _zdt(_root, _bumpy),
    "zdt6": _zdt6,
}
SEVERAL = (*_ZDT, *(f"dtlz{number}" for number in range(1, 8)), "fonseca-fleming")
"""Names of the functions of several goals: of two, and DTLZ of as many as are asked for."""


def several(name: str, dimension: int, goals: int) -> Problem:
    """One of `SEVERAL`, by its exact name; `goals` counts for DTLZ alone."""
    if name == "fonseca-fleming":
        along = torch.linspace(-1, 1, _FRONT, dtype=torch.float64)[:, None]
        line = along * dimension**-0.5 * torch.ones(dimension, dtype=torch.float64)
        return Problem(Formula(_fonseca, dimension, 2, low=-4.0, high=4.0), front=_fonseca(line))
    if name in _ZDT:
        return Problem(Formula(_ZDT[name], dimension, 2), front=_zdt_front(name, dimension))
    formula = _dtlz(int(name[-1]), goals)
    return Problem(Formula(formula, dimension, goals), front=_dtlz_front(name, dimension, goals))


def _zdt_front(name: str, dimension: int) -> Tensor:
    x = torch.zeros(_FRONT, dimension, dtype=torch.float64)
    x[:, 0] = torch.linspace(0, 1, _FRONT, dtype=torch.float64)
    return _undominated(_ZDT[name](x))


def _dtlz_front(name: str, dimension: int, goals: int) -> Tensor:
    """The function itself where the rest of the variables is best: g is least there."""
    best = 0.0 if name in ("dtlz6", "dtlz7") else 0.5
    draws = torch.quasirandom.SobolEngine(goals - 1).draw(1 << 10, dtype=torch.float64)
    x = torch.full((len(draws), dimension), best, dtype=torch.float64)
    # DTLZ4 raises these to the 100th power: undone here, or all would crowd at one end
    # Sobol points cover the front evenly in the variables, which suffices to bound it
    x[:, : goals - 1] = draws ** (0.01 if name == "dtlz4" else 1.0)
    return _undominated(_dtlz(int(name[-1]), goals)(x))


def _undominated(values: Tensor) -> Tensor:
    below = (values[:, None] <= values[None]).all(2) & (values[:, None] < values[None]).any(2)
    return values[~below.any(0)]
