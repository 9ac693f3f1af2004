"""The verdict on intervals: from the whole curve, by parts, and modest where rows are few."""

import numpy as np
import pytest
import torch

from counterpoint.findings import Coverage, IntervalVerdict, TargetFindings
from counterpoint.report._statistics import honesty
from counterpoint.table.evaluate._evaluate import _warnings
from counterpoint.table.evaluate._verdict import judge_intervals


def judged(rows=1000, seed=0, *, scale=1.0, bias=0.0, uneven=0.0, weight=None):
    """Normal residuals, scaled and shifted, predicted as standard normal."""
    draw = np.random.default_rng(seed)
    mean = draw.normal(size=rows)
    residual = bias + scale * np.exp(uneven * mean) * draw.normal(size=rows)
    pit = torch.special.ndtr(torch.from_numpy(residual))
    weight = torch.ones(rows).double() if weight is None else weight
    return judge_intervals(pit, weight, mean, 0.9)


def test_what_is_right_is_honest_and_few_rows_cannot_tell():
    assert judged().judgement == "honest"
    assert judged(59).judgement == "unknown"
    assert judged(59, scale=3.0).judgement == "narrow"  # but this much they can
    assert judged(1).judgement == "unknown"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scale": 1.3}, "narrow"),
        ({"scale": 0.7}, "wide"),
        ({"bias": 0.3}, "lopsided"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_wrong_is_named(changes, expected, seed):
    assert judged(2000, seed, **changes).judgement == expected


@pytest.mark.parametrize("seed", range(3))
def test_thirds_are_looked_at_where_the_whole_is_right(seed):
    """Noise that grows with the prediction, the intervals of one width: 90 % on the whole."""
    found = judged(600, seed, uneven=0.6, scale=0.75)
    assert found.judgement in {"uneven", "wide"}
    assert [part.observed for part in found.parts] == sorted(
        (part.observed for part in found.parts), reverse=True
    )
    assert found.parts[0].observed > 0.95 > 0.85 > found.parts[2].observed
    assert sum(part.rows for part in found.parts) == 600


def test_what_is_off_in_every_third_is_not_right_for_some():
    mean, far = np.arange(60.0), np.full(60, 0.85)
    far[:18] = far[20:30] = far[40:44] = 0.95  # 10, 50 and 80 % of the thirds are inside
    found = judge_intervals(
        torch.from_numpy((1 + far * (-1) ** mean) / 2), torch.ones(60).double(), mean, 0.9
    )
    assert [part.observed for part in found.parts] == pytest.approx([0.1, 0.5, 0.8])
    assert found.judgement == "narrow"


def test_a_verdict_does_not_contradict_the_share_inside():
    """Whole numbers from 1 to 5 under a normal: all inside 90 %, too few inside 50 %."""
    values = np.random.default_rng(0).integers(1, 6, size=300) - 3.0
    pit = torch.special.ndtr(torch.from_numpy(values / np.sqrt(2.0)))
    found = judge_intervals(pit, torch.ones(300).double(), values, 0.9)
    far = np.abs(2 * pit.numpy() - 1)
    assert (far <= 0.9).all()
    assert far.mean() > 0.5
    assert found.judgement == "misshapen"


def test_an_honest_model_is_seldom_accused():
    accused = [judged(300, seed).judgement not in {"honest", "unknown"} for seed in range(200)]
    assert np.mean(accused) <= 0.08


def test_weights_are_shares_and_zero_is_absent():
    draw = np.random.default_rng(0)
    mean = draw.normal(size=400)
    pit = torch.from_numpy(draw.uniform(size=400))
    weight = torch.ones(400).double()
    weight[200:] = 0.0
    some = judge_intervals(pit, weight, np.r_[mean[:200], np.full(200, 9.0)], 0.9)
    alone = judge_intervals(pit[:200], weight[:200], mean[:200], 0.9)
    assert some.judgement == alone.judgement
    assert some.side == pytest.approx(alone.side)
    assert judge_intervals(pit, 7.0 * weight, mean, 0.9).side == pytest.approx(alone.side)


def target(judgement, rows=400, **parts):
    found = judged(rows, **parts)
    verdict = IntervalVerdict(judgement, rows, found.side, found.parts)
    coverage = Coverage([0.9], [0.847], rows)
    return TargetFindings("y", "number", {}, coverage=coverage, verdict=verdict)


def test_the_report_says_so_in_a_sentence():
    text, bad = honesty(target("unknown", 59))
    assert text.startswith(
        "90 % intervals cover 84.7 % of the rows: 59 rows cannot tell whether 90 % is right; by"
        " chance alone"
    )
    assert not bad
    text, bad = honesty(target("uneven", uneven=0.8))
    assert bad
    assert "right for some and not for others: of those predicted at" in text
    assert "too high" in honesty(target("lopsided", bias=-1.0))[0]
    assert honesty(target("honest"))[0].endswith(
        "at other levels too, and in each third of the rows."
    )
    earlier = TargetFindings("y", "number", {}, coverage=Coverage([0.9], [0.5], 400))
    assert honesty(earlier) == ("90 % intervals cover 50 % of the rows: too narrow.", True)


def test_fit_warns_of_what_is_worse_than_nothing():
    bad = TargetFindings(
        "y", "number", {"log likelihood": -13.85}, baseline={"log likelihood": -11.92}
    )
    (note,) = _warnings([bad])
    assert note == (
        "target 'y': log likelihood is worse than knowing nothing (-13.85 against -11.92 nats a"
        " row): do not rely on its intervals"
    )
    good = TargetFindings("y", "number", {"log likelihood": -1.0}, baseline={"log likelihood": -2})
    assert _warnings([good, target("unknown", 59), target("honest")]) == []
    (note,) = _warnings([target("narrow")])
    assert note == "target 'y': on held-out rows its intervals are too narrow; see the report"
