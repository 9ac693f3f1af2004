"""Conformal intervals on data whose coverage is known: in all, by groups, under shift."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import InputError
from counterpoint.posterior.calibration import Conformal, conformal_by, density_ratio
from counterpoint.seeding import generator


def pits(count, spread, seed):
    """PIT values of a model that says N(0, 1) where there is N(0, spread²)."""
    draws = torch.randn(count, generator=generator(seed), dtype=torch.float64)
    return torch.special.ndtr(draws * spread)


def held(level, spread):
    """The share of N(0, spread²) in the interval of N(0, 1) with that level, exactly."""
    place = torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64))
    return math.erf(float(place) / spread / 2**0.5)


@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("rows", [9, 50, 400])
def test_a_wrong_model_covers_what_is_meant_on_average_over_calibrations(spread, rows):
    found = [held(Conformal.of(pits(rows, spread, seed)).level(0.9), spread) for seed in range(300)]
    assert np.mean(found) == pytest.approx(0.9, abs=0.01 if rows > 9 else 0.02)


@pytest.mark.parametrize("rows", [50, 200])
def test_every_group_covers_what_is_meant_however_the_spreads_differ(rows):
    spreads = (0.5, 1.0, 2.5)
    groups = torch.arange(3).repeat_interleave(rows)
    found = np.zeros((300, 3))
    pooled = np.zeros((300, 3))
    for seed in range(300):
        every = torch.cat([pits(rows, s, 10 * seed + k) for k, s in enumerate(spreads)])
        conformal = conformal_by(every, groups)
        for k, spread in enumerate(spreads):
            found[seed, k] = held(conformal[k].level(0.9), spread)
            pooled[seed, k] = held(conformal[None].level(0.9), spread)
    assert np.abs(found.mean(0) - 0.9).max() < 0.02
    assert np.abs(pooled.mean(0) - 0.9).max() > 0.08  # right in all, and wrong in each


def test_groups_too_small_to_tell_have_none_of_their_own():
    found = conformal_by(torch.linspace(0, 1, 40), torch.tensor([0] * 31 + [3] * 9))
    assert set(found) == {None, 0, 3}
    weight = torch.ones(40)
    weight[-1] = 0
    assert set(
        conformal_by(torch.linspace(0, 1, 40), torch.tensor([0] * 31 + [3] * 9), weight)
    ) == {
        None,
        0,
    }


def test_order_statistics_and_the_line_between_them():
    found = Conformal.of(torch.tensor([0.1, 0.5, 0.975], dtype=torch.float64))
    assert [round(found.level(share), 6) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [
        0.0, 0.0, 0.8, 0.95, 1.0,
    ]  # fmt: skip
    assert found.nominal(torch.tensor([0.8, 0.875]).double()).tolist() == pytest.approx(
        [0.5, 0.625]
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), rows=st.integers(1, 60), shares=st.tuples(*[st.floats(0, 1)] * 2))
def test_a_greater_share_asks_for_no_smaller_level(seed, rows, shares):
    draw = generator(seed)
    values = torch.rand(rows, generator=draw, dtype=torch.float64)
    found = Conformal.of(values, torch.rand(rows, generator=draw) + 0.01)
    low, high = sorted(shares)
    assert 0 <= found.level(low) <= found.level(high) <= 1
    whole = Conformal.of(values, torch.full((rows,), 3.0))
    assert whole.level(low) == pytest.approx(Conformal.of(values).level(low), abs=1e-12)


def test_a_calibrated_model_stays_as_it_is():
    values = (torch.arange(1, 1000, dtype=torch.float64)) / 1000
    found = Conformal.of(values)
    levels = torch.linspace(0.01, 0.99, 50).tolist()
    assert max(abs(found.level(level) - level) for level in levels) < 0.003


def test_where_inputs_shift_the_ratio_of_densities_restores_coverage():
    """Known rows at N(0, 1), new ones at N(1, 1), with a spread that grows with x."""
    plain, exact, learnt = [], [], []
    for seed in range(40):
        draw = generator(seed)
        known, new = (torch.randn(600, 1, generator=draw).double() + at for at in (0.0, 1.0))
        unit = torch.randn(1200, generator=draw, dtype=torch.float64)
        spread = (0.4 * torch.cat([known, new])[:, 0]).exp()
        every = torch.special.ndtr(unit * spread)
        distance = (2 * every[600:] - 1).abs()
        ratio, _ = density_ratio(known, new)
        for found, weight in (
            (plain, None), (exact, (known[:, 0] - 0.5).exp()), (learnt, ratio),
        ):  # fmt: skip
            level = Conformal.of(every[:600], weight).level(0.9)
            found.append(float((distance <= level).double().mean()))
    assert np.mean(plain) < 0.85
    assert np.mean(exact) == pytest.approx(0.9, abs=0.02)
    assert np.mean(learnt) == pytest.approx(0.9, abs=0.02)


def test_the_ratio_of_two_normals_is_found():
    draw = generator(0)
    known, new = (torch.randn(20_000, 2, generator=draw).double() + at for at in (0.0, 0.7))
    ratio, at_new = density_ratio(known, new)
    exact = 0.7 * known.sum(1) - 0.49
    assert float((ratio.log() - exact).abs().mean()) < 0.05
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.05)
    assert at_new.mean() > ratio.mean()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Conformal.of(torch.tensor([0.5, 1.5])), "pit: row 1 must be from 0 to 1"),
        (lambda: Conformal.of(torch.tensor([0.5]), torch.zeros(1)), "at least one of positive"),
        (lambda: Conformal.of(torch.tensor([0.5])).level(1.1), "level: must be from 0 to 1"),
        (lambda: Conformal.of(torch.tensor([0.5])).level(0.5, -1.0), "weight: must be at least 0"),
        (lambda: conformal_by(torch.rand(3), torch.zeros(2).long()), "groups: expected 3 numbers"),
        (lambda: density_ratio(torch.ones(3, 2), torch.ones(3, 1)), "new: expected 2 columns"),
        (lambda: density_ratio(torch.ones(3, 1), torch.full((3, 1), math.nan)), "new: row 0 must"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
