"""Rules that read angles, against closed forms, other solvers, and the definitions themselves."""

from itertools import combinations

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given as examples
from hypothesis import strategies as some

from balance.rules import cases
from balance.rules.cases import given, rows, step_of, tried, weights_of
from counterpoint.balance.rules import (
    AlignedMtl,
    CaGrad,
    Config,
    FairGrad,
    ImtlG,
    Magnitude,
    Mgda,
    NashMtl,
    Pamoo,
    PcGrad,
    Protected,
    Sum,
    UpGrad,
)

close = torch.testing.assert_close
TWO = rows([-4.0, 1.0, 1.0], [6.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("rule", "d"),
    [
        (Sum(), (1.0, 1.0, 1.0)),
        (UpGrad(), (0.2924, 1.9006, 1.9006)),
        (Mgda(), (0.0, 1.0, 1.0)),
        (PcGrad(), (0.5848, 3.8012, 3.8012)),
        (ImtlG(), (0.0767, 1.0, 1.0)),
        (Magnitude(), (0.0767, 1.0, 1.0)),
        (Config(), (0.1588, 2.0706, 2.0706)),
        (CaGrad(0.5), (0.1835, 1.2041, 1.2041)),
        (AlignedMtl(), (0.2133, 0.9673, 0.9673)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_published_directions(rule, d):
    # Of UPGrad one also reads (0.2929, 1.9004, 1.9004): that is with 1e-4 added to the Gram matrix.
    close(step_of(rule, TWO), rows(*d), rtol=0, atol=6e-5)


def test_upgrad_of_two_by_hand():
    first, second = TWO
    product = first @ second
    parts = first - product / (second @ second) * second, second - product / (first @ first) * first
    close(step_of(UpGrad(), TWO), (parts[0] + parts[1]) / 2, rtol=1e-12, atol=1e-12)
    close(step_of(PcGrad(), TWO), parts[0] + parts[1], rtol=1e-12, atol=1e-12)


@tried(20)
@examples(cases.any_rows(decades=1))
def test_mgda_is_the_best_of_all_faces_of_the_hull(jacobian):
    goals = len(jacobian)
    best = min(jacobian.norm(dim=1) ** 2)
    for size in range(2, goals + 1):
        for face in combinations(range(goals), size):
            corner = jacobian[list(face)]
            edges = (corner[1:] - corner[0]).T
            if np.linalg.matrix_rank(edges.numpy()) < size - 1:
                continue
            inner = torch.linalg.lstsq(edges, -corner[0]).solution
            if inner.min() >= 0 and inner.sum() <= 1:
                best = min(best, ((corner[0] + edges @ inner) ** 2).sum())
    weights = weights_of(Mgda(), jacobian)
    assert weights.min() >= 0
    close(weights.sum().item(), float(goals))
    found = ((weights @ jacobian / goals) ** 2).sum()
    assert abs(found - best) <= 1e-10 * (jacobian**2).sum()


@tried(25)
@examples(cases.any_rows(decades=2))
def test_upgrad_is_the_mean_of_projections_by_another_solver(jacobian):
    unit = cases.unit(jacobian).numpy()
    parts = []
    for row, length in zip(unit, jacobian.norm(dim=1), strict=True):
        multiples, _ = scipy.optimize.nnls(unit.T, -row)
        parts.append(length.item() * (row + multiples @ unit))
    found = step_of(UpGrad(), jacobian).numpy()
    np.testing.assert_allclose(found, np.mean(parts, 0), atol=1e-7 * jacobian.norm().item())


@tried(25)
@examples(cases.any_rows(), cases.seeds)
def test_pcgrad_is_its_algorithm_on_vectors(jacobian, seed):
    goals = len(jacobian)
    draws = torch.rand(
        goals, goals, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    d = torch.zeros_like(jacobian[0])
    for start, order in zip(jacobian, draws.argsort(1), strict=True):
        vector = start.clone()
        for other in order:
            # Its own turn changes nothing while it is itself; the paper leaves it out.
            if other != [bool((start == row).all()) for row in jacobian].index(True):
                against = jacobian[other]
                vector = vector - (vector @ against).clamp_max(0.0) / (against @ against) * against
        d = d + vector
    found = step_of(PcGrad(), jacobian, seed=seed)
    if len(torch.unique(jacobian, dim=0)) == goals:
        close(found, d, rtol=0, atol=1e-8)


@tried(20)
@examples(cases.independent(decades=1), some.floats(0.05, 0.95))
def test_cagrad_is_the_best_of_the_ball(jacobian, c):
    d = step_of(CaGrad(c), jacobian)
    mean = jacobian.mean(0)
    radius = c * mean.norm()
    close((d - mean).norm(), radius, rtol=1e-6, atol=1e-9)
    found = (jacobian @ d).min()

    def dual(parts):
        shares = torch.softmax(torch.as_tensor(parts), 0)
        return float(shares @ jacobian @ mean + radius * (shares @ jacobian).norm())

    # Weak duality: whatever the shares, their value is above the best worst case.
    weights = weights_of(CaGrad(c), jacobian) / len(jacobian) - 1.0 / len(jacobian)
    shares = weights.clamp_min(0.0) / weights.clamp_min(0.0).sum()
    bound = dual(shares.clamp_min(1e-300).log().numpy())
    assert abs(found - bound) <= 1e-6 * float(jacobian.norm() * d.norm())


@tried(25)
@examples(cases.independent(decades=10))
def test_nash_solves_its_equation(jacobian):
    weights = weights_of(NashMtl(longest=float("inf")), jacobian) / len(jacobian)
    gram = given(jacobian).gram
    close(weights * (gram @ weights), torch.ones(len(jacobian)).double(), rtol=0, atol=1e-8)
    close(step_of(NashMtl(), jacobian).norm().item(), 1.0)


@tried(25)
@examples(cases.independent(decades=3), some.floats(0.3, 5.0))
def test_fairgrad_solves_its_equation(jacobian, alpha):
    parts = weights_of(FairGrad(alpha), jacobian) / len(jacobian)
    gram = given(jacobian).gram
    gap = gram @ parts - parts ** (-1 / alpha)
    assert (gap.abs() <= 1e-9 * (gram.abs() @ parts)).all()


def test_fairgrad_at_one_is_the_bargain():
    close(weights_of(FairGrad(1.0), TWO), weights_of(NashMtl(longest=10.0), TWO))


@tried(25)
@examples(cases.independent(decades=1))
def test_aligned_mtl_is_its_singular_vectors(jacobian):
    left, sizes, right = torch.linalg.svd(jacobian, full_matrices=False)
    aligned = sizes.min() * left @ right
    close(step_of(AlignedMtl(), jacobian), aligned.mean(0), rtol=1e-6, atol=1e-9)


@tried(25)
@examples(cases.independent(decades=2))
def test_config_is_the_pseudo_inverse_of_all_gradients(jacobian):
    direction = torch.linalg.pinv(cases.unit(jacobian)).sum(1)
    direction = direction / direction.norm()
    close(
        step_of(Config(), jacobian), (jacobian @ direction).sum() * direction, rtol=1e-6, atol=1e-9
    )


@tried(25)
@examples(cases.independent(decades=2))
def test_imtl_g_projects_equally_and_sums_to_one(jacobian):
    weights = weights_of(ImtlG(), jacobian)
    raw = torch.linalg.solve(given(jacobian).cosines, torch.ones(len(jacobian)).double())
    raw = raw / jacobian.norm(dim=1)
    wanted = raw.sum() if raw.sum() > 1e-6 * raw.abs().sum() else raw.abs().sum()
    close(weights, len(raw) * raw / wanted, rtol=1e-6, atol=1e-9)


def test_pamoo_is_polyaks_step_where_goals_do_not_meet():
    jacobian = rows([2.0, 0.0], [0.0, 0.5])
    d = step_of(Pamoo(), jacobian, losses=rows(1.0, 0.125))  # L = x^2, half x^2
    close(d, rows(0.5, 0.25))
    at_ideal = step_of(Pamoo(ideal=1.0), jacobian, losses=rows(1.0, 0.125))
    close(at_ideal, rows(0.0, 0.0))


@tried(25)
@examples(cases.independent(decades=2), cases.seeds)
def test_pamoo_meets_its_conditions(jacobian, seed):
    losses = cases.normal(seed, len(jacobian)).abs()
    parts = weights_of(Pamoo(), jacobian, losses=losses) / len(jacobian)
    excess = (jacobian @ (parts @ jacobian) - losses) / jacobian.norm(dim=1)
    size = 1e-8 * ((losses / jacobian.norm(dim=1)).max() + (parts * jacobian.norm(dim=1)).sum())
    assert parts.min() >= 0
    assert excess.min() >= -size
    assert (excess * (parts > 0)).abs().max() <= size


def test_pamoo_remembers_the_lowest_losses():
    rule, state = Pamoo(ideal=None), Pamoo(ideal=None).start(2)
    for losses in (rows(2.0, 3.0), rows(1.0, 4.0), rows(1.5, 3.5)):
        weights, state = rule.weights(given(torch.eye(2).double(), losses=losses), state)
    close(weights, 2 * rows(0.5, 0.5))


@tried(25)
@examples(jacobian=cases.independent(decades=20))
def test_protect_takes_no_more_away_than_does_harm(jacobian):
    d, kept = step_of(Protected((0,)), jacobian), jacobian[0] / jacobian[0].norm()
    others = jacobian[1:].mean(0)
    wanted = others - (others @ kept).clamp_max(0.0) * kept
    close(d, wanted, rtol=0, atol=1e-9 * others.norm().item())


@tried(25)
@examples(jacobian=cases.any_rows(decades=3))
def test_protect_each_is_the_nearest_that_harms_none(jacobian):
    d = step_of(Protected((0, 1), each=True), jacobian)
    others, kept = jacobian[2:].mean(0), cases.unit(jacobian)[:2]
    if len(jacobian) == 2:
        close(d, jacobian.mean(0))
        return
    multiples, _ = scipy.optimize.nnls(kept.T.numpy(), -others.numpy())
    wanted = others + torch.as_tensor(multiples) @ kept
    close(d, wanted, rtol=0, atol=1e-8 * others.norm().item())


def test_protect_on_the_mean_of_several():
    jacobian = rows([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-2.0, 0.0, 1.0])
    close(step_of(Protected((0, 1)), jacobian), rows(-1.0, 1.0, 1.0))
    close(step_of(Protected((0, 1), each=True), jacobian), rows(0.0, 0.0, 1.0))
    close(step_of(Protected(()), jacobian), jacobian.mean(0))


@tried(5)
@examples(cases.seeds)
def test_one_precision_of_products_is_enough(seed):
    """Cosines that err by 1e-7, as from float32: no rule fails, or leaves its direction."""
    jacobian = cases.normal(seed, 6, 4)
    jacobian[1], jacobian[2] = jacobian[0] * 1e-9, -jacobian[0] * 1e6
    for rule in (Mgda(), UpGrad(), PcGrad(), CaGrad(), ImtlG(), NashMtl(), AlignedMtl(), Config()):
        assert weights_of(rule, jacobian.float().double()).isfinite().all()
        known = given(jacobian)
        noisy = known.cosines + 1e-7 * cases.normal(seed + 1, 6, 6)
        noisy = (noisy + noisy.T) / 2
        noisy.fill_diagonal_(1.0)
        object.__setattr__(known, "cosines", noisy)
        assert rule.weights(known, {})[0].isfinite().all()
