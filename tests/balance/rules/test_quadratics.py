"""Two quadratics of which all Pareto-stationary points are known in closed form.

Of ``L_k = (x - u_k)' A_k (x - u_k)`` they are ``(sum_k w_k A_k)^-1 sum_k w_k A_k u_k``, w >= 0.
"""

import pytest
import scipy.optimize
import torch

from balance.rules.cases import rows, step_of
from balance.rules.table import TABLE
from counterpoint.balance.rules import Mgda, Sum, UpGrad

close = torch.testing.assert_close

APART = (rows([1.0, 0.0], [0.0, 0.0]), rows([0.0, 0.0], [0.0, 1.0])), rows([0.0, 0.0], [0.0, 0.0])
"""One coordinate each: the minimum is shared."""
ALIKE = (rows([1.0, 0.5], [0.5, 2.0]),) * 2, rows([1.0, 0.0], [-1.0, 1.0])
"""One matrix: the front is the segment from one minimum to the other."""
CURVED = (rows([1.0, 0.3], [0.3, 2.0]), rows([3.0, -1.0], [-1.0, 1.0])), rows([1, -1], [0, 1.0])
RESTS = [row for row in TABLE if row.rests == "yes"]


def front(problem, share):
    """The stationary point of these weights, share and 1 - share."""
    (one, other), minima = problem
    both = share * one + (1 - share) * other
    return torch.linalg.solve(both, share * one @ minima[0] + (1 - share) * other @ minima[1])


def descend(rule, problem, start=(2.0, 1.0), steps=100):
    """Where plain steps lead."""
    point = rows(*start)
    for _ in range(steps):
        found = [2 * matrix @ (point - least) for matrix, least in zip(*problem, strict=True)]
        point = point - 0.15 * step_of(rule, torch.stack(found))
    return point


@pytest.mark.parametrize("problem", [ALIKE, CURVED], ids=["alike", "curved"])
@pytest.mark.parametrize("row", RESTS, ids=lambda row: row.name)
def test_who_rests_comes_to_rest_on_the_front(row, problem):
    point = descend(row.rule, problem)
    found = scipy.optimize.minimize_scalar(
        lambda share: float((front(problem, share) - point).norm()),
        bounds=(0.0, 1.0),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert found.fun < 1e-4


@pytest.mark.parametrize("problem", [APART, ALIKE, CURVED], ids=["apart", "alike", "curved"])
def test_the_mean_comes_to_its_own_point_of_the_front(problem):
    close(descend(Sum(), problem), front(problem, 0.5), rtol=0, atol=1e-6)


def test_to_rest_is_not_to_be_done():
    """One gradient that is zero makes a point stationary: there MGDA stays, and UPGrad does not."""
    close(descend(UpGrad(), APART), rows(0.0, 0.0), rtol=0, atol=1e-6)
    left = descend(Mgda(), APART)
    assert abs(left[1]) < 1e-6
    assert left[0] > 1.0
