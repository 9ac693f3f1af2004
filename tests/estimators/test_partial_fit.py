"""More rows for the last layer of a trunk that stays."""

import numpy as np
import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.posterior import LastLayer, Statistics, held_out_noise
from estimators.cases import linear, luna, plane

BOTH = pytest.mark.parametrize("make", [linear, luna])


@BOTH
@pytest.mark.parametrize("noise", [0.2, "evidence"])
def test_it_is_the_last_layer_of_all_rows(make, noise):
    x, y = plane()
    model = make(epochs=3, noise=noise).fit(x[:40], y[:40])
    targets = torch.from_numpy(model._targets.transform(y)).float()
    every = torch.cat([model._features(part) for part in (x[:40], x[40:])])
    given = None if noise == "evidence" else noise
    wanted = LastLayer.fit(Statistics.of(every, targets), noise=given)
    assert model.partial_fit(x[40:], y[40:]) is model
    torch.testing.assert_close(model.posterior_.mean, wanted.mean, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(model.posterior_.noise, wanted.noise, rtol=1e-6, atol=0)
    assert torch.equal(model.features_, every)


def test_the_noise_is_the_mean_by_rows_of_what_it_was_and_what_new_rows_reveal():
    x, y = plane(rows=80, targets=1)
    model = linear(noise="held-out").fit(x[:40], y[:40, 0])
    before = model.posterior_
    found = before.predict(model._features(x[40:]))
    targets = torch.from_numpy(model._targets.transform(y[40:]))
    fresh = held_out_noise((targets - found.mean)[:, 0], found.knowledge[:, 0], torch.ones(40))
    model.partial_fit(x[40:], y[40:, 0])
    assert model.posterior_.noise.item() == pytest.approx((before.noise.item() + fresh) / 2)


def test_weights_are_in_the_unit_of_the_fit():
    x, y = plane(targets=1)
    ones, tens = (
        linear(noise=0.3)
        .fit(x[:40], y[:40], np.full(40, unit))
        .partial_fit(x[40:], y[40:], np.full(20, 2 * unit))
        for unit in (1.0, 10.0)
    )
    assert ones.posterior_.statistics.weight == pytest.approx(80)
    np.testing.assert_allclose(ones.predict(x), tens.predict(x), rtol=1e-9)


def test_the_first_call_is_a_fit():
    x, y = plane()
    np.testing.assert_array_equal(
        linear().partial_fit(x, y).predict(x), linear().fit(x, y).predict(x)
    )


def test_another_number_of_targets_is_refused():
    x, y = plane()
    with pytest.raises(InputError, match="y: expected 2 targets as in fit, found 1"):
        linear(epochs=1).fit(x, y).partial_fit(x, y[:, 0])
