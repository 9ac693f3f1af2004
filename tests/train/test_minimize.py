"""`train.minimize` on functions whose minimum is known."""

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import nn

from counterpoint.data import Batch
from counterpoint.train import MinimizeEnding, minimize
from counterpoint.train.full_batch._flat import flattened
from counterpoint.train.full_batch._line_search import _corrected, _times
from counterpoint.train.full_batch._methods import METHODS
from counterpoint.train.full_batch._objective import Objective, Score

EXACT = sorted(METHODS.keys() - {"adam"})
every = pytest.mark.parametrize("method", EXACT)

NOTHING = Batch((), {}, None, None, 0)


class Free(nn.Module):
    """A vector and nothing else."""

    def __init__(self, *start):
        super().__init__()
        self.at = nn.Parameter(torch.tensor(start, dtype=torch.float64))


def found(function, *start, **options):
    model = Free(*start)
    result = minimize(
        lambda model, batch: {"f": function(model.at)}, model, progress=False, **options
    )
    return result, model.at.tolist()


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


@every
def test_least_squares_are_those_of_the_normal_equations(method, table):
    x, y = table["x"].double(), table["y"].double()
    rows = torch.cat([x, torch.ones(len(x), 1)], 1)
    exact = torch.linalg.lstsq(rows, y).solution.flatten()
    line = nn.Linear(3, 1).double()
    nn.init.zeros_(line.weight)
    nn.init.zeros_(line.bias)
    result = minimize(
        lambda model, batch: {"fit": (model(batch["x"]) - batch["y"]).square().mean()},
        line,
        table,
        method=method,
        tolerance=1e-6,
        progress=False,
    )
    assert result.status is MinimizeEnding.CONVERGED
    got = torch.cat([line.weight.flatten(), line.bias]).detach()
    assert torch.allclose(got, exact, atol=1e-6, rtol=0)
    # the table's own rows are float32: the score is that of their float64 values
    residual = rows @ exact - y.flatten()
    assert result.score == pytest.approx(residual.square().mean().item(), rel=1e-10)
    assert result.slope <= 1e-6
    assert result.history[0].iteration == 0
    assert result.history[-1].score == result.score == min(row.score for row in result.history)


@every
def test_the_bend_of_rosenbrock_is_followed(method):
    result, where = found(rosenbrock, -1.2, 1.0, method=method)
    assert result.status is MinimizeEnding.CONVERGED
    assert where == pytest.approx([1, 1], abs=1e-5)


@every
def test_a_step_to_where_nothing_is_finite_is_taken_back(method):
    """Sum of 5 w - log w - log(10 - w), from near the wall at 10."""
    result, where = found(
        lambda w: (5 * w - w.log() - (10 - w).log()).sum(), 9.0, 9.9, method=method
    )
    assert result.status is MinimizeEnding.CONVERGED
    assert where == pytest.approx([26 / 5 - (26**2 / 25 - 2) ** 0.5] * 2, abs=1e-5)


def test_newton_is_at_the_bottom_of_any_bowl_in_one_step():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    matrix, bottom = root @ root.T + 0.1 * torch.eye(5), torch.arange(5.0).double()
    result, where = found(
        lambda x: (x - bottom) @ matrix @ (x - bottom), *[10.0] * 5, method="newton", tolerance=1e-8
    )
    assert (result.iterations, result.evaluations.hessians) == (1, 1)
    assert where == pytest.approx(bottom.tolist())


@pytest.mark.parametrize("method", ["newton", "trust-exact", "trust-ncg", "trust-krylov"])
def test_a_saddle_is_left_downhill(method):
    """Newton's own step from here goes to the saddle at 0."""
    result, where = found(
        lambda x: (x[0] ** 2 - 1) ** 2 + x[1] ** 2, 0.1, 1.0, method=method, tolerance=1e-9
    )
    assert result.status is MinimizeEnding.CONVERGED
    assert where == pytest.approx([1, 0], abs=1e-6)
    if method == "newton":
        assert result.history[1].score < result.history[0].score


@pytest.mark.parametrize(("method", "name"), [("cg", "CG"), ("l-bfgs", "L-BFGS-B")])
def test_the_path_is_the_one_of_scipy(method, name):
    options = {"gtol": 1e-6} | ({"ftol": 0} if method == "l-bfgs" else {})
    start = [-1.2, 1.0]
    peer = optimize.minimize(
        optimize.rosen, start, jac=optimize.rosen_der, method=name, options=options
    )
    result, where = found(rosenbrock, *start, method=method)
    assert result.iterations == peer.nit
    assert where == pytest.approx(peer.x, abs=1e-9)
    # the start is computed twice, and the end; what scipy asks for again is remembered
    assert peer.nfev < result.evaluations.gradients <= peer.nfev + 2
    assert (result.evaluations.products, result.evaluations.hessians) == (0, 0)


def test_the_matrix_of_bfgs_is_corrected_by_its_formula():
    generator = np.random.default_rng(0)
    root, step, change = (generator.normal(size=size) for size in ((4, 4), 4, 4))
    change *= np.sign(change @ step)
    before = np.asfortranarray(root @ root.T)
    left = np.eye(4) - np.outer(step, change) / (change @ step)
    exact = left @ before @ left.T + np.outer(step, step) / (change @ step)
    after = _corrected(before.copy(order="F"), step, change)
    assert np.tril(after) == pytest.approx(np.tril(exact))
    assert _times(after, change) == pytest.approx(step)
    assert _corrected(before, step, -change) is before  # curved the other way: nothing is learnt


def test_products_and_the_matrix_are_the_closed_form():
    model, where = Free(0.3, -0.7), np.array([0.3, -0.7])
    with flattened(model, dict(model.named_parameters())) as flat:
        seen = Objective(
            Score(model, lambda m, b: {"f": rosenbrock(m.at)}, NOTHING, None),
            flat,
        )
        exact = optimize.rosen_hess(where)
        assert seen.hessian(where) == pytest.approx(exact, rel=1e-12)
        assert seen.product(where, np.array([2.0, 3.0])) == pytest.approx(exact @ [2, 3], rel=1e-12)
        assert seen.at(where).gradient == pytest.approx(optimize.rosen_der(where), rel=1e-12)
        straight = Objective(Score(model, lambda m, b: {"f": m.at.sum()}, NOTHING, None), flat)
        assert not straight.hessian(where).any()
        assert not straight.product(where, where).any()


def test_adam_takes_the_steps_of_torch():
    model = Free(3.0, -2.0)
    optimiser = torch.optim.Adam([model.at], lr=0.05)
    for _ in range(20):
        optimiser.zero_grad()
        model.at.square().sum().backward()
        optimiser.step()
    result, where = found(
        lambda x: x.square().sum(), 3.0, -2.0, method="adam", rate=0.05, iterations=20
    )
    assert result.status is MinimizeEnding.EXHAUSTED
    assert where == model.at.tolist()
    assert result.iterations == 20 == result.history[-1].iteration


def test_the_best_of_all_that_was_seen_is_kept():
    """Adam with a wild rate swings past the bottom and comes back."""
    result, where = found(lambda x: x.square().sum(), 1.0, method="adam", rate=0.7, iterations=4)
    scores = [row.score for row in result.history]
    assert result.score == min(scores) == where[0] ** 2 < scores[-1]


def test_a_kink_ends_a_line_search_with_a_sentence():
    result, _ = found(lambda x: x.abs().sum(), 3.0, -2.0, method="cg")
    assert result.status is MinimizeEnding.NO_DECREASE
    assert "kink" in result.status.sentence
    assert result.score < 5


def test_a_trust_region_that_has_shrunk_to_nothing_ends():
    """At the kink of max(x, -2 x) autodiff takes the mean of the two slopes, -1/2."""
    result, where = found(lambda x: torch.maximum(x, -2 * x).sum(), 0.0, method="trust-ncg")
    assert (result.status, where) == (MinimizeEnding.NO_DECREASE, [0.0])
    assert result.iterations == 30


def test_a_minimum_to_start_from_costs_no_iteration():
    result, where = found(lambda x: x.square().sum(), 0.0)
    assert (result.status, result.iterations, where) == (MinimizeEnding.CONVERGED, 0, [0.0])
