"""Calibration measures against scikit-learn and small sums."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from counterpoint.errors import InputError
from counterpoint.posterior import CategoricalPredictive, Predictive
from counterpoint.posterior.calibration import (
    brier,
    coverage,
    ece,
    nll,
    pit,
    reliability,
    top_label,
)
from counterpoint.seeding import generator

LEVELS = torch.tensor([0.1, 0.5, 0.9])


def forecast(seed, count=4_000):
    source = generator(seed)
    mean = torch.randn(count, 2, generator=source, dtype=torch.float64)
    std = 0.5 + torch.rand(count, 2, generator=source, dtype=torch.float64)
    target = mean + std * torch.randn(count, 2, generator=source, dtype=torch.float64)
    return Predictive(mean, std.square() / 2, std.square() / 2), target


def classes(seed, count=500, number=3):
    source = generator(seed)
    p = torch.randn(count, number, generator=source, dtype=torch.float64).softmax(1)
    return p, torch.multinomial(p, 1, generator=source).squeeze(1)


def test_a_true_forecast_is_calibrated():
    predictive, target = forecast(0)
    values = pit(predictive, target)
    found = coverage(values, LEVELS)
    torch.testing.assert_close(found, LEVELS.double()[:, None].expand(3, 2), rtol=0, atol=0.03)
    torch.testing.assert_close(values.mean(0), torch.full((2,), 0.5).double(), rtol=0, atol=0.02)


def test_coverage_counts_what_the_intervals_hold():
    predictive, target = forecast(1, 200)
    target = 1.5 * target
    found = coverage(pit(predictive, target), LEVELS)
    for row, level in enumerate(LEVELS.double().tolist()):
        lower, upper = predictive.interval(level)
        inside = ((lower <= target) & (target <= upper)).double().mean(0)
        torch.testing.assert_close(found[row], inside)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), counts=st.lists(st.integers(0, 3), min_size=20, max_size=20))
def test_a_weight_is_a_repetition_everywhere(seed, counts):
    repeats = torch.tensor([*counts, 1])
    weight = repeats.double()
    predictive, target = forecast(seed, 21)
    values, p_labels = pit(predictive, target), classes(seed, 21)
    again = [part.repeat_interleave(repeats, 0) for part in p_labels]
    torch.testing.assert_close(
        coverage(values, LEVELS, weight), coverage(values.repeat_interleave(repeats, 0), LEVELS)
    )
    log_prob = predictive.log_prob(target)
    torch.testing.assert_close(nll(log_prob, weight), nll(log_prob.repeat_interleave(repeats, 0)))
    assert brier(*p_labels, weight) == pytest.approx(brier(*again))
    assert ece(*p_labels, weight) == pytest.approx(ece(*again))


def test_scores_are_scikit_learns():
    p, labels = classes(2)
    weight = torch.rand(500, generator=generator(3)).double()
    predictive = CategoricalPredictive(p, torch.zeros_like(p))
    wanted = log_loss(labels.numpy(), p.numpy(), sample_weight=weight.numpy())
    assert float(nll(predictive.log_prob(labels), weight)) == pytest.approx(wanted)
    p, labels = classes(4, number=2)
    one = brier_score_loss(labels.numpy(), p[:, 1].numpy(), sample_weight=weight.numpy())
    assert brier(p, labels, weight) == pytest.approx(2 * one)


def test_reliability_is_scikit_learns_curve():
    p, labels = classes(5, number=2)
    found = reliability(p[:, 1], labels == 1, bins=8)
    true, stated = calibration_curve(labels.numpy(), p[:, 1].numpy(), n_bins=8)
    filled = found.share > 0
    torch.testing.assert_close(found.accuracy[filled], torch.from_numpy(true))
    torch.testing.assert_close(found.confidence[filled], torch.from_numpy(stated))
    assert float(found.share.sum()) == pytest.approx(1)
    assert len(found.edges) == 9


def test_an_overconfident_forecast_is_seen():
    p, labels = classes(6, 4_000)
    assert ece(p, labels) < 0.03
    sharp = p**4 / (p**4).sum(1, keepdim=True)
    assert ece(sharp, labels) > 0.15


def test_certainty_falls_in_the_last_bin_and_empty_bins_are_nan():
    found = reliability(torch.tensor([1.0, 0.0]), torch.tensor([True, True]), bins=4)
    assert found.share.tolist() == [0.5, 0.0, 0.0, 0.5]
    assert bool(found.accuracy[1:3].isnan().all())
    assert found.ece == pytest.approx(0.5)


def test_top_label():
    confidence, correct = top_label(torch.tensor([[0.2, 0.8], [0.6, 0.4]]), torch.tensor([1, 1]))
    assert confidence.tolist() == pytest.approx([0.8, 0.6])
    assert correct.tolist() == [True, False]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: coverage(torch.zeros(0, 1), LEVELS), "at least one of positive weight"),
        (lambda: nll(torch.zeros(3), torch.zeros(3)), "at least one of positive weight"),
        (lambda: nll(torch.zeros(3), torch.tensor([1.0, -1.0, 1.0])), "weight: row 1"),
        (lambda: brier(torch.ones(1, 2) / 2, torch.tensor([2])), "labels: row 0"),
        (lambda: reliability(torch.ones(2), torch.ones(3).bool()), "expected 2 outcomes"),
        (lambda: reliability(torch.full((1,), 1.5), torch.ones(1).bool()), "from 0 to 1"),
        (lambda: reliability(torch.ones(1), torch.ones(1).bool(), bins=0), "at least 1 bin"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
