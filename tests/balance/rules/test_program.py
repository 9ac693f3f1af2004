"""The programs under the rules: conditions of optimality, other solvers, singular matrices."""

import numpy as np
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as some

from balance.rules import cases
from balance.rules.cases import tried
from counterpoint.balance.program import (
    fair,
    farthest,
    nonnegative,
    projections,
    semidefinite,
    solved,
)


def cosines(jacobian):
    unit = cases.unit(jacobian).numpy()
    matrix = unit @ unit.T
    np.fill_diagonal(matrix, 1.0)
    return semidefinite(matrix)


@tried(30)
@given(cases.any_rows(), cases.seeds, some.floats(-20, 20))
def test_nonnegative_meets_its_conditions_or_gives_the_ray(jacobian, seed, far):
    matrix = cosines(jacobian)
    right = cases.normal(seed, len(jacobian)).numpy() * 10.0**far
    answer = nonnegative(matrix, right)
    if answer.ray is not None:
        np.testing.assert_allclose(answer.ray.sum(), 1.0)
        assert answer.ray.min() >= 0.0
        assert answer.ray @ matrix @ answer.ray <= 1e-10
        assert answer.ray @ right > 0.0
        return
    excess = matrix @ answer.x - right
    size = 1e-9 * (np.abs(right).max() + answer.x.sum())
    assert answer.x.min() >= 0.0
    assert excess.min() >= -size
    assert abs(excess[answer.x > 0]).max(initial=0.0) <= size


@tried(30)
@given(cases.any_rows(), cases.seeds)
def test_nonnegative_finds_what_scipy_finds(jacobian, seed):
    unit, target = cases.unit(jacobian).numpy(), cases.normal(seed, jacobian.shape[1]).numpy()
    answer = nonnegative(cosines(jacobian), unit @ target)
    _, distance = scipy.optimize.nnls(unit.T, target)
    assert answer.ray is None
    np.testing.assert_allclose(np.linalg.norm(answer.x @ unit - target), distance, atol=1e-7)


@tried(15)
@given(some.integers(2, 64), some.integers(1, 80), cases.seeds)
def test_projections_of_many(goals, weights, seed):
    jacobian = cases.unit(cases.normal(seed, goals, weights)).numpy()
    matrix = semidefinite(jacobian @ jacobian.T)
    d = (np.eye(goals) + projections(matrix)) @ jacobian
    assert (jacobian @ d.T).min() >= -1e-8
    # Nothing more than needed: each is orthogonal to what was taken from it.
    np.testing.assert_allclose(((d - jacobian) * d).sum(1), 0.0, atol=1e-7)


@tried(30)
@given(cases.independent(), cases.seeds, some.floats(0.2, 5.0))
def test_fair_solves_its_equation(jacobian, seed, power):
    matrix = cosines(jacobian)
    right = np.exp(cases.normal(seed, len(jacobian)).numpy())
    u = fair(matrix, right, power)
    assert u.min() > 0
    size = np.abs(matrix) @ u
    assert (np.abs(matrix @ u - right * u**-power) <= 1e-9 * size).all()


def test_fair_of_opposed_gradients_is_large_and_finite():
    u = fair(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.ones(2))
    assert 1e3 < u.min() <= u.max() < 1e5


def test_farthest_stops_at_the_cone_where_nothing_helps_all():
    opposed = np.array([[1.0, -1.0], [-1.0, 1.0]])
    found = farthest(opposed, np.array([1.0, 0.9]), np.array([0.5, 0.45]), 0.99)
    assert np.isfinite(found).all()
    nothing = farthest(opposed, np.ones(2), np.array([0.5, 0.5]), 0.5)
    np.testing.assert_array_equal(nothing, 0.0)


def test_nothing_to_solve():
    np.testing.assert_array_equal(nonnegative(np.eye(2), np.zeros(2)).x, 0.0)
    np.testing.assert_array_equal(nonnegative(np.eye(2), np.full(2, np.nan)).x, 0.0)
    np.testing.assert_allclose(solved(np.eye(3), np.arange(3.0)), np.arange(3.0))
    np.testing.assert_array_equal(projections(np.eye(3)), 0.0)


def test_what_rounding_made_indefinite_is_raised():
    bent = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0 - 1e-7], [1.0, 1.0 - 1e-7, 1.0]])
    bent[0, 1] = bent[1, 0] = 1.0 + 1e-7
    assert np.linalg.eigvalsh(bent)[0] < -1e-8
    raised = semidefinite(bent)
    assert np.linalg.eigvalsh(raised)[0] > -1e-15
    np.testing.assert_allclose(raised, bent, atol=1e-6)
