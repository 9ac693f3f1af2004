import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from counterpoint.findings import Coverage, HeldOut, TargetFindings
from counterpoint.report._statistics import (
    binomial_band,
    expected_cover,
    standardised,
    wilson,
)


@settings(deadline=None)
@given(st.integers(1, 30_000), st.floats(0.001, 0.999))
def test_the_band_is_the_binomial_interval(rows, share):
    low, high = stats.binom.interval(0.95, rows, share)
    assert [end * rows for end in binomial_band(rows, share)] == pytest.approx(
        [low, high], abs=0.01
    )


def test_the_band_of_very_many_rows_is_narrow_and_central():
    low, high = binomial_band(10**9, 0.9)
    assert low < 0.9 < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.09 / 1e9), rel=1e-3)


def test_the_band_without_rows_or_doubt():
    assert binomial_band(0, 0.5) == (0.0, 1.0)
    assert binomial_band(10, 0.0) == (0.0, 0.0)
    assert binomial_band(10, 1.0) == (1.0, 1.0)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_agrees_with_scipy(rows, share):
    hits = round(share * rows)
    expected = stats.binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert wilson(hits / rows, rows) == pytest.approx((expected.low, expected.high), abs=1e-9)


def _target(**parts):
    return TargetFindings("y", "number", {}, **parts)


def test_cover_takes_the_level_nearest_to_the_one_asked_for():
    found = expected_cover(_target(coverage=Coverage([0.5, 0.88, 0.99], [0.4, 0.8, 1.0], 400)))
    assert (found.level, found.observed, found.verdict) == (0.88, 0.8, "below")
    assert (found.low, found.high) == binomial_band(400, 0.88)


@pytest.mark.parametrize(("seen", "verdict"), [(0.9, "inside"), (0.8, "below"), (0.99, "above")])
def test_cover_is_judged_against_chance(seen, verdict):
    assert expected_cover(_target(coverage=Coverage([0.9], [seen], 400))).verdict == verdict


def test_cover_is_counted_where_no_coverage_was_given():
    held = HeldOut([0, 1], [1.0, 9.0], [1.0, 1.0], [0.0, 0.0], [2.0, 2.0], [1, 1], [0, 0])
    found = expected_cover(_target(held_out=held))
    assert (found.level, found.observed, found.rows) == (0.9, 0.5, 2)
    assert expected_cover(_target()) is None
    assert expected_cover(_target(coverage=Coverage([], [], 0))) is None


def test_residuals_are_divided_by_the_whole_deviation():
    held = HeldOut(
        [0] * 4, [5, math.nan, 1, 1], [0] * 4, [0] * 4, [0] * 4, [3, 1, 0, 1], [4, 1, 0, 0]
    )
    assert standardised(held) == [1.0, 1.0]
