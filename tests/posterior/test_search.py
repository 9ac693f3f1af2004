"""The one-dimensional climb."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.posterior.softmax._search import climb


@settings(max_examples=60, deadline=None)
@given(top=st.floats(-8, 8), start=st.floats(-9, 9), skew=st.floats(0.2, 1.5))
def test_it_finds_the_top_of_a_skewed_hill(top, start, skew):
    def hill(x):
        return -(math.exp(skew * (x - top)) - skew * (x - top))

    peak = climb(hill, {start: hill(start)}, (-20, 20), tolerance=0.01)
    assert peak.converged
    assert peak.at == pytest.approx(top, abs=0.2)
    assert peak.bound == 0
    assert peak.evaluations < 30  # 27 was the most in 200,000 random hills


@pytest.mark.parametrize(("sign", "bound"), [(1, 1), (-1, -1)])
def test_it_stops_at_a_bound(sign, bound):
    peak = climb(lambda x: sign * x, {0.3: sign * 0.3}, (-5, 7))
    assert peak.bound == bound
    assert peak.at == (7 if sign > 0 else -5)


def test_a_start_on_the_lower_bound_still_climbs():
    peak = climb(lambda x: -((x - 2) ** 2), {-5.0: -49.0}, (-5, 5))
    assert peak.at == pytest.approx(2, abs=0.02)


def test_a_flat_function_ends():
    assert climb(lambda _: 0.0, {0.0: 0.0}, (-3, 3)).evaluations < 40


def test_known_points_are_not_evaluated_again():
    asked = []
    known = {x: -((x - 1) ** 2) for x in (0.4, 0.9, 1.5)}
    climb(lambda x: asked.append(x) or -((x - 1) ** 2), dict(known), (-3, 3))
    assert not set(asked) & known.keys()
    assert len(asked) <= 3


def test_a_search_without_end_says_so():
    peak = climb(lambda x: x, {0.0: 0.0}, (-1e300, 1e300))
    assert not peak.converged
    assert peak.evaluations == 40
