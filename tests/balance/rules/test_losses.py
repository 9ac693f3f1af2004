"""Rules that read losses or norms alone, against what their papers' formulas give by hand."""

import pytest
import torch

from balance.rules import cases
from balance.rules.cases import given, rows, weights_of
from counterpoint.balance.rules import (
    DbMtl,
    Dwa,
    Famo,
    GeometricMean,
    GradNorm,
    ImtlL,
    Magnitude,
    Relobralo,
    SoftAdapt,
    Stch,
    Uncertainty,
)

close = torch.testing.assert_close
EYE = torch.eye(2, dtype=torch.float64)


def run(rule, losses, lengths=None, **known):
    """Weights of a run with these losses, and the last state."""
    state, found = rule.start(len(losses[0])), []
    for turn, values in enumerate(losses):
        scale = rows(*lengths[turn]) if lengths else torch.ones(len(values)).double()
        jacobian = torch.eye(len(values), dtype=torch.float64) * scale[:, None]
        weights, state = rule.weights(given(jacobian, losses=rows(*values), **known), state)
        found.append(weights)
    return torch.stack(found), state


@pytest.mark.parametrize("rule", [Uncertainty(rate=0.05), ImtlL(rate=0.05)])
def test_learned_weights_come_to_rest_at_one_over_the_loss(rule):
    weights, _ = run(rule, [(4.0, 0.25)] * 400)
    close(weights[0], rows(1.0, 1.0))
    close(weights[-1], rows(0.25, 4.0), rtol=1e-2, atol=0)


def test_learned_weights_move_as_torchs_adam():
    value = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([value], lr=0.01)
    losses = [(2.0 + turn, 1.0 / (1 + turn)) for turn in range(8)]
    expected = []
    for one in losses:
        expected.append((-value).exp().detach().clone())
        optimizer.zero_grad()
        ((-value).exp() * rows(*one) + value).sum().backward()
        optimizer.step()
    close(run(Uncertainty(rate=0.01), losses)[0], torch.stack(expected), rtol=1e-12, atol=1e-14)


def test_geometric_mean_is_its_gradient():
    losses = rows(2.0, 5.0, 0.1).requires_grad_()
    wanted = rows(1.0, 2.0, 3.0) / 2
    (losses ** (wanted / 3)).prod().backward()
    found = weights_of(
        GeometricMean(), torch.eye(3).double(), losses=losses.detach(), preference=wanted
    )
    close(found, 3 * losses.grad)
    below = weights_of(GeometricMean(), EYE, losses=rows(-1.0, 4.0))
    close(below, rows(1.0, 1.0))


@pytest.mark.parametrize("ideal", [0.0, 0.5])
def test_stch_is_its_gradient(ideal):
    losses, wanted = rows(2.0, 3.0).requires_grad_(), rows(1.5, 0.5)
    (0.7 * torch.logsumexp(wanted * (losses - ideal) / 0.7, 0)).backward()
    found = weights_of(Stch(0.7, ideal), EYE, losses=losses.detach(), preference=wanted)
    close(found, 2 * losses.grad)


def test_stch_from_the_lowest_loss_so_far():
    weights, _ = run(Stch(1.0, ideal=None), [(3.0, 1.0), (3.0, 2.0)])
    close(weights[0], rows(1.0, 1.0))
    close(weights[1], 2 * torch.softmax(rows(0.0, 1.0), 0))


def test_dwa_by_hand():
    weights, _ = run(Dwa(temperature=2.0, window=2), [(4.0, 1.0)] * 2 + [(2.0, 1.0)] * 3)
    close(weights[:4], torch.ones(4, 2).double())
    close(weights[4], 2 * torch.softmax(rows(0.25, 0.5), 0))


def test_softadapt_by_hand():
    losses = [(1.0, 1.0), (3.0, 0.5)]
    weights, _ = run(SoftAdapt(0.1), losses)
    close(weights[1], 2 * torch.softmax(0.1 * rows(2.0, -0.5), 0))
    weights, _ = run(SoftAdapt(0.1, normalized=True), losses)
    close(weights[1], 2 * torch.softmax(0.1 * rows(0.8, -0.2), 0))
    weights, _ = run(SoftAdapt(0.1, weighted=True), losses)
    raw = rows(3.0, 0.5) * (0.1 * rows(2.0, -0.5)).exp()
    close(weights[1], 2 * raw / raw.sum())


def test_relobralo_by_hand():
    def shares(now, before):
        return 2 * torch.softmax(rows(*now) / rows(*before), 0)

    losses = [(1.0, 2.0), (2.0, 2.0), (1.0, 3.0)]
    weights, _ = run(Relobralo(0.5, 1.0, keep=0.0), losses)
    close(weights[2], (shares(losses[2], losses[0]) + shares(losses[2], losses[1])) / 2)
    weights, _ = run(Relobralo(0.0, 1.0), losses)
    close(weights[2], shares(losses[2], losses[1]))


def test_famo_by_hand():
    losses = [(2.0, 1.0), (1.0, 1.0), (0.7, 0.1)]
    value = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([value], lr=0.025, weight_decay=0.001)
    expected, before = [], None
    for one in losses:
        now = rows(*one)
        if before is not None:
            optimizer.zero_grad()
            torch.softmax(value, 0).backward(before.log() - now.log())
            optimizer.step()
        raw = torch.softmax(value.detach(), 0) / now
        expected.append(2 * raw / raw.sum())
        before = now
    close(run(Famo(), losses)[0], torch.stack(expected), rtol=1e-12, atol=1e-14)


def test_famo_goes_on_below_zero():
    weights, _ = run(Famo(), [(1.0 - turn, 5.0 - 0.1 * turn) for turn in range(30)])
    assert weights.isfinite().all()
    close(weights.sum(1), torch.full((30,), 2.0).double())


def test_magnitude_powers():
    jacobian = EYE * rows([1.0], [4.0])
    for power, wanted in ((-1.0, (1.6, 0.4)), (0.0, (1.0, 1.0)), (1.0, (0.4, 1.6))):
        close(weights_of(Magnitude(power), jacobian), rows(*wanted))
    preferred = weights_of(Magnitude(0.0), jacobian, preference=rows(0.5, 1.5))
    close(preferred, rows(0.5, 1.5))


def test_magnitude_pulls_equally_whatever_the_norms():
    jacobian = cases.unit(cases.normal(0, 5, 7)) * torch.logspace(-3, 3, 5).double()[:, None]
    pull = weights_of(Magnitude(), jacobian) * jacobian.norm(dim=1)
    close(pull / pull.mean(), torch.ones(5).double())


def test_magnitude_remembers_a_debiased_mean():
    weights, state = run(Magnitude(decay=0.5), [(1.0, 1.0)] * 2, [(1.0, 1.0), (4.0, 1.0)])
    # (1/4 1 + 1/2 4) / (1 - 1/4) = 3
    close(weights[1], rows(0.5, 1.5))
    close(state["norms"], rows(2.25, 0.75))


def test_relative_magnitude_sees_who_wakes_and_not_the_unit():
    lengths = [(1.0, 1e6), (1.0, 1e6), (3.0, 1e6)]
    weights, _ = run(Magnitude(1.0, relative=True, decay=0.5), [(1.0, 1.0)] * 3, lengths)
    close(weights[1], rows(1.0, 1.0))
    now = 3.0 / ((0.125 + 0.25 + 1.5) / 0.875)
    close(weights[2], 2 * rows(now, 1.0) / (now + 1.0))


def test_the_floor_keeps_a_goal_at_rest_from_stopping_all():
    jacobian = EYE * rows([1e-30], [1.0])
    close(weights_of(Magnitude(floor=1e-2), jacobian), 2 * rows(100.0, 1.0) / 101)


def test_db_mtl_makes_log_losses_pull_alike():
    jacobian, losses = EYE * rows([2.0], [10.0]), rows(0.5, 20.0)
    weights = weights_of(DbMtl(), jacobian, losses=losses)
    # |g / L| is 4 and 0.5: both are made 4 long.
    close(weights / 2 * jacobian.norm(dim=1), rows(4.0, 4.0))


def test_gradnorm_without_asymmetry_comes_to_equal_norms():
    weights, _ = run(GradNorm(asymmetry=0.0), [(1.0, 1.0)] * 400, [(1.0, 4.0)] * 400)
    close(weights[0], rows(1.0, 1.0))
    close(weights[-1], rows(1.6, 0.4), rtol=0.1, atol=0)


def test_gradnorm_lengthens_who_is_behind():
    losses = [(1.0, 1.0)] + [(0.5, 1.0)] * 300
    weights, _ = run(GradNorm(), losses, [(1.0, 1.0)] * 301)
    # r^a is (0.544, 1.540), of sum 2.08 where w has 2: between w = (0.544, 1.456) and
    # (0.460, 1.540), one goal is too long and the other too short by the same.
    assert 1.456 / 0.544 - 0.2 < weights[-1, 1] / weights[-1, 0] < 1.540 / 0.460 + 0.2
