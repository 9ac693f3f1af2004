"""The least of a smooth function by steps that never make it worse."""

import math

import pytest
import torch

from counterpoint.table.uncertainty._newton import least


def test_one_step_of_a_quadratic_and_one_that_sees_it_is_there():
    matrix = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    pull = torch.tensor([1.0, -3.0], dtype=torch.float64)
    asked = []

    def bent(at):
        asked.append(at)
        return matrix @ at - pull, matrix

    found = least(
        lambda at: float(at @ matrix @ at / 2 - pull @ at),
        bent,
        torch.zeros(2, dtype=torch.float64),
        steps=50,
        tolerance=1e-12,
    )
    torch.testing.assert_close(found, torch.linalg.solve(matrix, pull))
    assert len(asked) == 2


@pytest.mark.parametrize("beyond", [math.nan, math.inf])
def test_a_step_that_leaves_the_domain_is_halved(beyond):
    # x - log x is least at 1, and a curvature that is far too small steps below 0
    def loss(at):
        return float(at - at.log()) if float(at) > 0 else beyond

    def bent(at):
        return 1 - 1 / at, torch.full((1, 1), 0.05, dtype=torch.float64)

    found = least(loss, bent, torch.tensor([3.0]).double(), steps=200, tolerance=1e-14)
    assert float(found) == pytest.approx(1.0, abs=1e-5)


def test_where_no_step_helps_it_stays():
    start = torch.tensor([2.0]).double()
    wrong = (torch.tensor([-1.0]).double(), torch.eye(1).double())
    found = least(lambda at: float(at.square()), lambda _: wrong, start, steps=5, tolerance=1e-9)
    assert torch.equal(found, start)
