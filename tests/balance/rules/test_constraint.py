"""Constraints against closed forms: the point that is best where they hold, and its multiplier."""

import pytest
import torch
from torch import nn

from balance.rules.cases import given, rows
from counterpoint.balance import Balancer
from counterpoint.balance.rules import Constrained, Constraint

close = torch.testing.assert_close


class Point(nn.Module):
    def __init__(self, *place):
        super().__init__()
        self.x = nn.Parameter(rows(*place))


def solved(goals, told, start, steps=800, rate=0.05):
    """Where Adam ends, and the last weights."""
    x = rows(*start).requires_grad_()
    names = tuple(goals(x))
    rule, state = told.bind(names), told.start(len(names))
    optimiser = torch.optim.Adam([x], rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, steps)
    for _ in range(steps):
        losses = torch.stack(list(goals(x).values()))
        weights, state = rule.weights(given(torch.eye(len(names)), losses.detach()), state)
        optimiser.zero_grad()
        (weights @ losses).backward()
        optimiser.step()
        schedule.step()
    return x.detach(), weights


@pytest.mark.parametrize(("geometric", "unit"), [(False, 1e6), (True, 1.0)])
def test_it_ends_at_the_best_point_that_the_bound_allows(geometric, unit):
    """Nearest to (3, 0) in the disk |x| <= 2: (2, 0), where lambda in these units is 1 / 2."""

    def goals(x):
        return {"far": unit * (x - rows(3.0, 0.0)).square().sum(), "size": x.square().sum()}

    rule = Constraint("size", at_most=4.0, geometric=geometric)
    found, weights = solved(goals, rule, (-1.0, 2.0))
    close(found, rows(2.0, 0.0), rtol=0, atol=0.03)
    # 2 (x - 3) + lambda 2 x = 0 at x = 2: the weights are in that ratio, in the goals' own units
    close(weights[1] / weights[0] / unit, rows(0.5)[0], rtol=0.05, atol=0)


def test_of_three_constraints_two_bind():
    """Lowest x + y where x^2 <= 1 and (y - 2)^2 <= 1: at (-1, 1); a third costs nothing there."""

    def goals(x):
        return {
            "sum": x.sum(),
            "first": x[0].square(),
            "second": (x[1] - 2).square(),
            "slack": x.square().sum(),
        }

    rule = Constraint(("first", "second", "slack"), at_most=(1.0, 1.0, 50.0))
    found, weights = solved(goals, rule, (0.5, 2.5))
    close(found, rows(-1.0, 1.0), rtol=0, atol=0.03)
    assert weights[3] == 0
    # 1 + lambda 2 x = 0 at x = -1, and 1 + lambda 2 (y - 2) = 0 at y = 1: a half each
    close(weights[1:3] / weights[0], rows(0.5, 0.5), rtol=0.15, atol=0)


def test_a_step_by_hand():
    rule = Constrained((1,), (2.0,), rate=0.1, penalty=1.0, decay=0.0)
    weights, state = rule.weights(
        given(torch.eye(2).double(), losses=rows(4.0, 3.0)), rule.start(2)
    )
    # v = (3 - 2) / 2, lambda = 0.05, pi = 0.05 + 0.5, w = 4 / 2 pi, and both over 1 + pi
    close(weights, rows(1.0, 1.1) / 1.55)
    close(state["multipliers"], rows(0.0, 0.05))
    again, state = rule.weights(given(torch.eye(2).double(), losses=rows(4.0, 1.0)), state)
    # met by a half: the multiplier falls to 0, and no lower
    close(again, rows(1.0, 0.0))
    close(state["multipliers"], rows(0.0, 0.0))


def test_a_step_of_geco_by_hand():
    rule = Constrained((1,), (2.0,), rate=0.1, decay=0.0, geometric=True)
    known = given(torch.eye(2).double(), losses=rows(4.0, 3.0))
    weights, state = rule.weights(known, rule.start(2))
    # lambda = exp(0.1 x 0.5), w = 4 / 2 lambda, and both over 1 + lambda
    close(weights, rows(1.0, 2.0 * 1.0512710963760241) / 2.0512710963760241)
    close(state["multipliers"], rows(0.0, 0.05))


def test_the_mean_over_steps_is_not_drawn_to_its_start():
    rule = Constrained((0,), (1.0,), rate=0.0, decay=0.9)
    state = rule.start(2)
    for _ in range(3):
        weights, state = rule.weights(given(torch.eye(2).double(), losses=rows(1.5, 1.0)), state)
        close(weights, rows(0.5, 1.0) / 1.5)


def test_what_is_far_off_is_answered_as_what_is_twice_its_bound():
    rule = Constrained((0,), (1.0,), decay=0.0)
    both = [
        rule.weights(given(torch.eye(2).double(), losses=rows(far, 1.0)), rule.start(2))[0]
        for far in (2.0, 1e20)
    ]
    close(*both)


def test_constraints_alone_that_are_met_leave_nothing_to_do():
    rule = Constrained((0, 1), (1.0, 0.0))
    weights, _ = rule.weights(given(torch.eye(2).double(), losses=rows(0.5, -1.0)), rule.start(2))
    close(weights, rows(0.0, 0.0))
    weights, _ = rule.weights(given(torch.eye(2).double(), losses=rows(0.5, 1.0)), rule.start(2))
    assert weights[0] == 0
    assert weights[1] > 0


def test_none_is_the_sum():
    rule, wanted = Constrained((), ()), rows(0.5, 1.5)
    known = given(torch.eye(2).double(), losses=rows(3.0, 1.0), preference=wanted)
    close(rule.weights(known, rule.start(2))[0], wanted)


def test_multipliers_are_kept_with_the_state_and_by_name():
    goals = {"error": 1.0, "bytes": 400.0}

    def losses(model, names):
        return {name: goals[name] + 0.0 * model.x.sum() for name in names}

    first, model = Balancer(Constraint("bytes", at_most=300.0)), Point(1.0)
    for names in (("error", "bytes"), ("bytes", "error"), ("error", "bytes")):
        first.backward(losses(model, names), model)
    second = Balancer(Constraint("bytes", at_most=300.0))
    second.load_state_dict(first.state_dict())
    steps = [b.backward(losses(model, ("error", "bytes")), model) for b in (first, second)]
    close(steps[0].weights, steps[1].weights, rtol=0, atol=0)
    fresh = Balancer(Constraint("bytes", at_most=300.0))
    assert fresh.backward(losses(model, ("error", "bytes")), model).weights[1] < steps[0].weights[1]
