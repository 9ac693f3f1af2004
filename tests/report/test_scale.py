import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from counterpoint.report._words import amount, date, duration, listing, number, percent
from counterpoint.report.figures import Scale, every, extent, finite, thin
from counterpoint.report.figures._text import fit, shorten, text_width, tick_texts

_FLOATS = st.floats(allow_nan=True, allow_infinity=True)
_VALUES = st.lists(st.none() | _FLOATS, max_size=12)


@given(_VALUES, st.booleans())
def test_every_extent_can_be_drawn(values, log):
    low, high = extent(values, log=log)
    assert low < high
    scale = Scale(low, high, 0.0, 100.0, log)
    known = [v for v in values if finite(v) is not None and (v > 1e-140 or not log)]
    assert all(-1e-3 <= scale(v) <= 100.001 for v in known)
    ticks = scale.ticks(5)
    assert len(ticks) <= 25
    assert ticks == sorted(ticks)
    assert all(scale(tick) is not None for tick in ticks)
    assert len(tick_texts(ticks)) == len(ticks)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 1))
def test_a_straight_scale_is_affine(low, high, share):
    assume(high - low > 1e-3)
    scale = Scale(low, high, 10.0, 30.0)
    assert scale(low + share * (high - low)) == pytest.approx(10 + 20 * share, abs=1e-5)


def test_what_cannot_be_drawn_is_a_gap():
    scale = Scale(1.0, 10.0, 0.0, 1.0, log=True)
    assert [scale(v) for v in (None, math.nan, math.inf, 0.0, -1.0, 11.0)] == [None] * 6
    assert finite(10**400) is None


def test_ticks_are_round_and_cover_the_range():
    assert Scale(0.13, 0.87, 0, 1).ticks(4) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert Scale(0.05, 2.0, 0, 1, log=True).ticks(6) == pytest.approx([0.05, 0.1, 0.2, 0.5, 1, 2])
    assert Scale(1e-9, 1e9, 0, 1, log=True).ticks(5) == pytest.approx([1e-8, 1e-4, 1, 1e4, 1e8])


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ([1990.0, 2000.0], ["1990", "2000"]),
        ([-2.0, 0.0, 2.0], ["−2", "0", "2"]),
        ([0.0, 5e5, 1e6], ["0", "0.5M", "1.0M"]),
        ([0.01, 0.1, 1.0], ["0.01", "0.1", "1"]),
        ([0.0, 2e-6], ["0", "2×10⁻⁶"]),
        ([1e15], ["10¹⁵"]),
    ],
)
def test_ticks_are_written_as_a_person_would(ticks, texts):
    assert tick_texts(ticks) == texts


@given(st.text(max_size=200), st.floats(20, 200))
def test_a_fitted_text_is_no_wider_than_its_room(text, width):
    fitted = fit(text, width)
    assert fitted == text or text_width(fitted) <= width or fitted == "…"


@given(st.text(max_size=80), st.integers(2, 60))
def test_a_shortened_text_keeps_its_ends(text, most):
    short = shorten(text, most)
    assert len(short) <= most
    assert short == text or (text.startswith(short.split("…")[0]) and "…" in short)


@given(st.lists(st.none() | st.floats(-1e9, 1e9), min_size=1, max_size=400), st.integers(6, 80))
def test_thinning_keeps_the_peaks_the_gaps_and_the_ends(curve, most):
    chosen = thin([curve], most)
    known = [v for v in curve if v is not None]
    kept = [curve[i] for i in chosen]
    assert chosen[0] == 0
    assert chosen[-1] == len(curve) - 1
    assert len(chosen) <= 2 * most + 10
    if known:
        drawn = [v for v in kept if v is not None]
        assert (min(drawn), max(drawn)) == (min(known), max(known))
    assert (None in kept) == (None in curve)


@given(st.integers(0, 5000), st.integers(1, 100))
def test_every_spreads_evenly_and_is_bounded(count, most):
    chosen = every(count, most)
    assert len(chosen) <= most
    assert len({b - a for a, b in pairwise(chosen)}) <= 1


@given(_FLOATS)
def test_numbers_are_always_written(value):
    assert number(value)
    assert percent(value).endswith(("%", "–"))
    assert duration(value)
    assert date(0.0 if math.isnan(value) else value) or True


@given(st.floats(1e-3, 1e8))
def test_four_digits_are_kept(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=6e-4)


def test_words():
    assert number(999_999_999_9) == "10×10⁹" or number(999_999_999_9) == "1×10¹⁰"
    assert (amount(1, "row"), amount(0, "row")) == ("1 row", "0 rows")
    assert listing([]) == ""
    assert duration(59.9) == "1 min 0 s"
    assert date(1e12) == "1×10¹²"
