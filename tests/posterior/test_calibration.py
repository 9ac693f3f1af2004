"""Calibration measures against scikit-learn and small sums."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from counterpoint.errors import InputError
from counterpoint.posterior import CategoricalPredictive, Predictive
from counterpoint.posterior.calibration import (
    auroc,
    brier,
    coverage,
    debiased_ece,
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


def top_two(seed, rows, overconfidence=0.0):
    """Confidence from a half to one, and whether it came true: less often where overconfident."""
    source = generator(seed, 7)
    stated = 0.5 + 0.5 * torch.rand(rows, generator=source, dtype=torch.float64)
    true = torch.rand(rows, generator=source, dtype=torch.float64) < stated - overconfidence
    return stated, true


def over_seeds(measure, *, rows, overconfidence=0.0, seeds=200, weight=None):
    """A measure's mean over data sets, and the standard error of that mean."""
    found = torch.tensor(
        [
            measure(reliability(*top_two(seed, rows, overconfidence), weight))
            for seed in range(seeds)
        ]
    )
    return found.mean().item(), found.std().item() / seeds**0.5


@pytest.mark.parametrize("rows", [pytest.param(50, marks=pytest.mark.slow), 200])
def test_of_a_perfect_forecast_chance_is_taken_out(rows):
    plain, _ = over_seeds(lambda found: found.ece, rows=rows)
    square, error = over_seeds(lambda found: found.squared_error, rows=rows)
    debiased, _ = over_seeds(lambda found: found.debiased_ece, rows=rows)
    assert plain > {50: 0.1, 200: 0.05}[rows]
    assert abs(square) < 4 * error
    assert abs(square) < 0.05 * plain
    assert debiased < 0.45 * plain


def test_the_debiased_square_of_a_perfect_forecast_is_0_in_exact_expectation():
    """Over all outcomes there are, with unequal weights and confidence that varies in a bin."""
    stated, _ = top_two(0, 8)
    weight = torch.rand(8, generator=generator(8), dtype=torch.float64)
    plain = square = 0.0
    for outcome in itertools.product((False, True), repeat=8):
        true = torch.tensor(outcome)
        found = reliability(stated, true, weight, bins=4)
        chance = float(torch.where(true, stated, 1 - stated).prod())
        plain += chance * float((found.share * (found.accuracy - found.confidence) ** 2).nansum())
        square += chance * found.squared_error
    assert plain > 0.02
    assert abs(square) < 1e-15


@pytest.mark.parametrize("rows", [200, 1_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_real_miscalibration_is_still_found(rows, weighted):
    weight = torch.rand(rows, generator=generator(9), dtype=torch.float64) if weighted else None
    options = {"rows": rows, "overconfidence": 0.15, "weight": weight}
    square, error = over_seeds(lambda found: found.squared_error, **options)
    assert square == pytest.approx(0.15**2, abs=4 * error + 3e-4)
    debiased, _ = over_seeds(lambda found: found.debiased_ece, **options)
    assert debiased == pytest.approx(0.15, abs=0.01)


def test_the_debiased_square_is_the_mean_over_pairs():
    stated, true = top_two(0, 12)
    weight = torch.rand(12, generator=generator(10), dtype=torch.float64)
    found = reliability(stated, true, weight, bins=4)
    residual = true.double() - stated
    for place in range(4):
        rows = [i for i in range(12) if min(int(stated[i] * 4), 3) == place]
        pairs = list(itertools.permutations(rows, 2))
        if not pairs:
            assert found.squared[place].isnan()
            continue
        mass = sum(weight[i] * weight[j] for i, j in pairs)
        total = sum(weight[i] * weight[j] * residual[i] * residual[j] for i, j in pairs)
        torch.testing.assert_close(found.squared[place], total / mass)


def test_equal_confidence_gives_the_formula_of_kumar_and_others():
    stated = torch.full((9,), 0.7, dtype=torch.float64)
    true = torch.arange(9) < 4
    mean = 4 / 9
    expected = (mean - 0.7) ** 2 - mean * (1 - mean) / 8
    assert reliability(stated, true).squared_error == pytest.approx(expected, rel=1e-12)


def test_the_unit_of_weights_and_rows_without_weight_do_not_matter():
    p, labels = classes(11, 60)
    p = p**4 / (p**4).sum(1, keepdim=True)
    weight = torch.rand(60, generator=generator(12), dtype=torch.float64)
    wanted = debiased_ece(p, labels, weight)
    assert wanted > 0
    assert debiased_ece(p, labels, 1e-6 * weight) == pytest.approx(wanted)
    more = torch.cat([weight, torch.zeros(60, dtype=torch.float64)])
    twice = (torch.cat([p, p]), torch.cat([labels, (labels + 1) % 3]))
    assert debiased_ece(*twice, more) == pytest.approx(wanted)


def test_bins_that_cannot_be_judged_are_left_out():
    stated = torch.tensor([0.3, 0.9, 0.9, 0.9, 0.9])
    true = torch.tensor([True, True, False, False, False])
    alone = reliability(stated, true)
    assert alone.squared_error == pytest.approx(reliability(stated[1:], true[1:]).squared_error)
    lonely = reliability(stated[:2], true[:2])
    assert math.isnan(lonely.squared_error)
    assert math.isnan(lonely.debiased_ece)
    weight = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])
    assert math.isnan(reliability(stated, true, weight).debiased_ece)


def pairs_won(inside, outside, inside_weight, outside_weight):
    """The area under the curve by comparing every pair."""
    won = (outside[:, None] > inside).double() + 0.5 * (outside[:, None] == inside).double()
    weight = outside_weight[:, None] * inside_weight
    return float((won * weight).sum() / weight.sum())


weighed = st.lists(
    st.tuples(st.integers(-3, 3), st.floats(0.01, 10)), min_size=1, max_size=12
)  # few values, so that ties are common


@settings(max_examples=50)
@given(inside=weighed, outside=weighed)
def test_auroc_is_the_share_of_pairs_in_the_right_order(inside, outside):
    scores, weights = zip(
        *(torch.tensor(rows, dtype=torch.float64).unbind(1) for rows in (inside, outside)),
        strict=True,
    )
    found = auroc(*scores, *weights)
    assert found == pytest.approx(pairs_won(*scores, *weights))
    assert auroc(*scores, 7 * weights[0], weights[1]) == pytest.approx(found)
    assert auroc(*scores[::-1], *weights[::-1]) == pytest.approx(1 - found)
    plain = [torch.ones_like(part) for part in scores]
    assert auroc(*scores) == pytest.approx(pairs_won(*scores, *plain))


def test_auroc_of_a_score_that_knows_all_or_nothing():
    low, high = torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.4, 0.5])
    assert auroc(low, high) == 1.0
    assert auroc(high, low) == 0.0
    assert auroc(torch.ones(5), torch.ones(3)) == 0.5


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
        (
            lambda: nll(torch.zeros(3), torch.tensor([1.0, -1.0, 1.0])),
            "found -1 in row 1",
        ),
        (lambda: brier(torch.ones(1, 2) / 2, torch.tensor([2])), "labels: row 0"),
        (lambda: reliability(torch.ones(2), torch.ones(3).bool()), "expected 2 outcomes"),
        (lambda: reliability(torch.full((1,), 1.5), torch.ones(1).bool()), "from 0 to 1"),
        (lambda: reliability(torch.ones(1), torch.ones(1).bool(), bins=0), "at least 1 bin"),
        (lambda: auroc(torch.ones(0), torch.ones(2)), "inside: expected a score for each of at"),
        (lambda: auroc(torch.ones(2), torch.ones(0)), "outside: expected a score for each of at"),
        (lambda: auroc(torch.tensor([0.0, math.nan]), torch.ones(2)), "inside: row 1 must be fin"),
        (lambda: auroc(torch.ones(2), torch.tensor([math.inf])), "outside: row 0 must be finite"),
        (lambda: auroc(torch.ones(2), torch.ones(2), torch.zeros(2)), "positive weight"),
        (
            lambda: auroc(torch.ones(2), torch.ones(2), None, torch.ones(3)),
            "weight must have one",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
