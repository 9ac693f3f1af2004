"""Steps: rules, draws that are held, and rounding."""

import copy
from itertools import pairwise

import pytest
import torch

from counterpoint.derivatives import (
    CentralDifference,
    Drawn,
    Fixed,
    ForwardDifference,
    Relative,
    Subset,
    directional,
    gradients,
)
from counterpoint.derivatives._steps import best
from counterpoint.errors import InputError
from counterpoint.seeding import generator
from derivatives.nets import net, points

REACH = torch.tensor([[0.0, 0.5, 40.0]], dtype=torch.float64)


def test_the_best_step_balances_rounding_and_truncation():
    eps = torch.finfo(torch.float64).eps
    for order, power in ((1, 1 / 2), (2, 1 / 3), (4, 1 / 5)):
        found = Relative().lengths(REACH, order)
        torch.testing.assert_close(found, eps**power * torch.tensor([[1.0, 1.0, 40.0]]).double())
    assert Relative(0.1).lengths(REACH, 1).tolist() == [[0.1, 0.1, 4.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_step_used_is_the_one_after_rounding(dtype):
    """Of a line every difference is exact, though x + h is rounded by more than eps h."""
    x = torch.full((1, 1), 1e3 + 0.1, dtype=dtype)
    found = gradients(lambda x: x - 1e3, x, ForwardDifference(Fixed(1e-3)))
    assert found.item() == pytest.approx(1, abs=torch.finfo(dtype).eps)
    wrong = ((x + 1e-3) - x).item() / 1e-3
    assert dtype != torch.float32 or abs(wrong - 1) > 1e-3  # without dividing by the step used


def test_a_direction_is_followed_by_the_length_of_the_step():
    x, seen = torch.zeros(1, 2, dtype=torch.float64), list[torch.Tensor]()

    def watched(points):
        seen.append(points)
        return points.sum(1)

    slope = directional(watched, x, torch.tensor([[30.0, 40.0]]), ForwardDifference(Fixed(0.1)))
    assert slope.item() == pytest.approx(70)
    torch.testing.assert_close(seen[0][1], torch.tensor([0.06, 0.08], dtype=torch.float64))


def test_a_direction_that_rounding_turns_is_refused():
    """The first input's part of the step is lost, and the slope found would be 6."""
    x, v = torch.tensor([[1.0, 1.0], [1e5, 0.1]]), torch.ones(2, 2)
    function = lambda x: 6 * x[:, 1] - 3 * x[:, 0]  # noqa: E731
    with pytest.raises(InputError, match=r"step: rounding turns .* in row 1, .*larger step"):
        directional(function, x, v, ForwardDifference(Fixed(1e-3)))
    fixed = ForwardDifference(Fixed(1e-3))
    assert directional(function, x.double(), v.double(), fixed)[1].item() == pytest.approx(3)
    wide = directional(function, x, v, ForwardDifference(Fixed(100.0)))
    assert wide[1].item() == pytest.approx(3, rel=0.01)
    only = torch.tensor([[1.0, 0.0], [0.0, 0.0]])  # what does not move is not turned
    assert directional(function, x, only, fixed)[1].item() == 0


def test_a_draw_is_held_as_long_as_stated():
    def lengths(hold, times=5, rows=3):
        step = Drawn(generator=generator(1), hold=hold)
        return [step.lengths(REACH[:, :rows], 1) for _ in range(times)]

    def changes(found):
        return [not torch.equal(a, b) for a, b in pairwise(found)]

    assert changes(lengths(1)) == [True] * 4
    assert changes(lengths(2)) == [False, True, False, True]
    assert changes(lengths(None)) == [False] * 4
    assert all(map(torch.equal, lengths(2), lengths(2)))  # the same generator, the same draws


def test_another_number_of_rows_draws_anew():
    step = Drawn(hold=None)
    first = step.lengths(torch.zeros(2, 4), 1)
    assert first.shape == (2, 4)
    assert torch.equal(first[0], first[1])  # one a point, whatever the direction
    assert step.lengths(torch.zeros(2, 3), 1).shape == (2, 3)
    assert not torch.equal(step.lengths(torch.zeros(2, 4), 1), first)


def test_draws_have_their_deviation_and_stay_away_from_zero():
    reach = torch.zeros(1, 100_000)
    found = Drawn(0.1).lengths(reach, 1)
    assert found.std().item() == pytest.approx(0.1, rel=0.02)
    assert found.mean().abs() < 0.002
    least = best(torch.float32, 1)
    assert found.abs().min() == pytest.approx(least)
    assert (found.abs() < 1.01 * least).sum() > 50  # some had to be moved: 0.28 % are nearer
    assert Drawn(0.1).lengths(reach + 100, 1).abs().min() == pytest.approx(100 * least)


def test_copies_of_a_draw_go_their_own_way():
    """Estimators are cloned, their settings copied."""
    step = Drawn(generator=generator(3))
    other = copy.deepcopy(step)
    assert torch.equal(step.lengths(REACH, 1), other.lengths(REACH, 1))
    assert step == other


def test_held_draws_make_an_objective_that_repeats():
    model, x = net(), points()
    scheme = CentralDifference(Drawn(hold=None))
    with torch.no_grad():
        assert torch.equal(gradients(model, x, scheme), gradients(model, x, scheme))
        moving = CentralDifference(Drawn())
        assert not torch.equal(gradients(model, x, moving), gradients(model, x, moving))


def test_a_subset_is_drawn_without_replacement_and_held():
    subset = Subset(0.3, generator(2), hold=2)
    first, again, other = (subset.rows(1000) for _ in range(3))
    assert len(first) == len(first.unique()) == 300
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(Subset(1e-9).rows(5)) == 1
    assert Subset(1.0).rows(5).sort().values.tolist() == [0, 1, 2, 3, 4]


def test_no_draw_touches_torchs_own_randomness():
    before = torch.get_rng_state()
    gradients(net(), points(), ForwardDifference(Drawn()))
    Subset(0.5).rows(10)
    assert torch.equal(before, torch.get_rng_state())
