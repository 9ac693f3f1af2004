"""Weights that hold back while an alarm is in force."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.balance import Alarm, Failure
from counterpoint.balance.monitor import remedied

NAMES = ("a", "b", "c")
MEANS = {"a": 0.5, "b": 1.0, "c": 1.5}
positive = st.one_of(st.just(0.0), st.floats(1e-20, 1e20))
triples = st.tuples(positive, positive, positive)


def alarm(kind, goals=NAMES):
    return Alarm(kind, goals, 400, {}, MEANS)


def float64(*values):
    return torch.tensor(values, dtype=torch.float64)


@given(triples, triples, st.lists(st.sampled_from(list(Failure)), max_size=4))
def test_weights_stay_finite_and_not_negative(weights, norms, kinds):
    alarms = [alarm(kind, ("b",) if kind is Failure.OBNOXIOUS else NAMES) for kind in kinds]
    found = remedied(float64(*weights), float64(*norms), NAMES, alarms)
    assert found.isfinite().all()
    assert (found >= 0).all()


@given(triples, st.floats(0.1, 10))
def test_an_obnoxious_goal_has_at_most_its_share(norms, wanted):
    norms, preference = float64(*norms), float64(1.0, wanted, 1.0)
    found = remedied(
        torch.ones(3).double(), norms, NAMES, [alarm(Failure.OBNOXIOUS, ("b",))], preference
    )
    pulls = found * norms
    if pulls[0] + pulls[2] > 0:
        assert pulls[1] / pulls.sum() <= wanted / (2 + wanted) * (1 + 1e-9)
    assert found[0] == found[2] == 1


def test_means_stop_what_switches_and_halves_the_step():
    switched, norms = float64(0, 3, 0), torch.ones(3).double()
    assert remedied(switched, norms, NAMES, [alarm(Failure.DESERT)]).tolist() == [0.5, 1.0, 1.5]
    assert remedied(switched, norms, NAMES, [alarm(Failure.OSCILLATION)]).tolist() == [
        0.25,
        0.5,
        0.75,
    ]
    assert remedied(switched, norms, NAMES, [alarm(Failure.STANDOFF)]).tolist() == [0, 3, 0]
    assert remedied(switched, norms, NAMES, []).tolist() == [0, 3, 0]


def test_other_goals_unknown_norms_and_overflows_are_left_alone():
    weights = float64(1, 2)
    found = remedied(weights, float64(1, 1), ("a", "x"), [alarm(Failure.DESERT)])
    assert found.tolist() == [0.5, 2.0]
    alarms = [alarm(Failure.OBNOXIOUS, ("b",))]
    unknown = torch.full((2,), torch.nan).double()
    assert remedied(weights, unknown, ("a", "b"), alarms).tolist() == [1, 2]
    assert remedied(weights[:1], unknown[:1], ("b",), alarms).tolist() == [1]
    assert remedied(unknown, float64(1, 1), ("a", "b"), [alarm(Failure.DESERT)]).isnan().all()
