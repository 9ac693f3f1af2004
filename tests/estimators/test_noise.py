"""Where the noise comes from: rows that a trunk did not see, or the evidence of those it saw."""

import numpy as np
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.estimators import LunaRegressor, NeuralLinearRegressor
from counterpoint.estimators._training import TrunkRows, parts_left_out
from estimators.cases import cubic, linear, luna, plane

BOTH = pytest.mark.parametrize("make", [linear, luna])


def curve(draw, rows):
    x = draw.uniform(-2, 2, (rows, 1))
    return x, np.sin(3 * x[:, 0]) + 0.2 * draw.normal(size=rows)


def many_columns(draw, rows):
    x = draw.normal(size=(rows, 60))
    return x, x[:, :3].sum(1) + draw.normal(size=rows)


def nothing(draw, rows):
    return draw.normal(size=(rows, 8)), draw.normal(size=rows)


def skewed(draw, rows):
    x = draw.normal(size=(rows, 4))
    return x, x[:, 0] + np.abs(x[:, 1]) + draw.exponential(size=rows)


def covered(model, make, rows):
    """The share of new rows in their 90 % intervals, over three draws of the rows."""
    shares = []
    for seed in range(3):
        x, y = make(np.random.default_rng(seed), rows + 1000)
        mean, std = model.fit(x[:rows], y[:rows]).predict(x[rows:], return_std=True)
        shares.append(np.mean(np.abs(y[rows:] - mean) < 1.6449 * std))
    return float(np.mean(shares))


@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (many_columns, 100),
        pytest.param(curve, 40, marks=pytest.mark.slow),
        pytest.param(nothing, 80, marks=pytest.mark.slow),
        pytest.param(skewed, 120, marks=pytest.mark.slow),
    ],
)
def test_intervals_hold_what_they_say_of_new_rows(make, rows):
    told = {"epochs": 60, "batch_size": 120, "random_state": 0}
    assert 0.84 <= covered(NeuralLinearRegressor(**told), make, rows) <= 0.97
    if make is many_columns:  # the training error is what the evidence takes for noise
        assert covered(NeuralLinearRegressor(**told, noise="evidence"), make, rows) < 0.5


@pytest.mark.slow
def test_intervals_of_heads_that_disagree_hold_what_they_say():
    told = {"epochs": 60, "batch_size": 120, "heads": 5, "random_state": 0}
    assert 0.84 <= covered(LunaRegressor(**told), nothing, 80) <= 0.97
    assert covered(LunaRegressor(**told, noise="evidence"), nothing, 80) < 0.75


@BOTH
def test_the_trunk_and_its_head_are_the_same_whatever_the_noise(make):
    x, y = plane()
    found = [make(noise=noise).fit(x, y) for noise in ("held-out", "evidence", 0.5)]
    for model in found[1:]:
        assert torch.equal(model.features_, found[0].features_)
    held, evidence, given = (model.posterior_ for model in found)
    assert (held.log_evidence < evidence.log_evidence).all()
    assert given.noise.tolist() == [0.5, 0.5]


@BOTH
def test_rows_left_out_have_no_say_in_their_trunk(make):
    x, y = plane(targets=1)
    rows = TrunkRows(
        torch.from_numpy(x).float(), torch.from_numpy(y).float(), torch.ones(len(x)).double()
    )
    model = make()
    before = model._left_out(model._plan(1, 0), rows, 0)
    assert sum(len(part.targets) for part in before) == len(x)
    out = (rows.y == before[0].targets[0]).nonzero()[0, 0]
    changed = rows.y.clone()
    changed[out] += 100
    after = model._left_out(model._plan(1, 0), TrunkRows(rows.x, changed, rows.weight), 0)
    assert torch.equal(after[0].inside.gram, before[0].inside.gram)
    assert not torch.equal(after[1].inside.gram, before[1].inside.gram)


@pytest.mark.parametrize(
    ("rows", "parts", "least"), [(2, 2, 1), (7, 5, 1), (200, 5, 40), (400, 3, 80), (1000, 1, 200)]
)
def test_rows_are_left_out_until_they_are_enough(rows, parts, least):
    found = parts_left_out(rows, torch.Generator().manual_seed(0))
    every = torch.cat(found)
    assert len(found) == parts
    assert min(len(part) for part in found) == least
    assert len(every.unique()) == len(every)


@BOTH
@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (0.0, "noise: expected 'held-out', 'evidence' or a positive number, found 0.0"),
        ("heldout", "noise: expected one of held-out, evidence, found 'heldout'; "
                    "did you mean 'held-out'?"),
    ],
)  # fmt: skip
def test_a_noise_that_is_none(make, noise, message):
    x, y = cubic()
    with pytest.raises(InputError) as caught:
        make(noise=noise).fit(x, y)
    assert str(caught.value) == message


def test_two_rows_are_enough():
    model = linear(noise="held-out").fit(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))
    assert np.isfinite(model.predict(np.array([[0.5]]), return_std=True)[1]).all()
