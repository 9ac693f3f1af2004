"""The noise that rows reveal to a last layer whose trunk did not see them."""

import pytest
import torch
from torch.distributions import Normal

from counterpoint.posterior import LastLayer, Statistics, UnseenRows, held_out_noise, left_out_noise


def rows(count, seed=0, noise=0.5, width=6):
    """Features of a trunk that is fixed, and targets linear in them, of two units."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(count, width, generator=draw, dtype=torch.float64)
    slopes = torch.linspace(-1, 1, width, dtype=torch.float64)
    scatter = torch.randn(count, 2, generator=draw, dtype=torch.float64)
    targets = (features @ slopes)[:, None] + torch.tensor([noise**0.5, noise**0.5 / 2]) * scatter
    return features, targets


def left_out(memorised, **more):
    inside, y = rows(100, **more)
    features, targets = rows(400, seed=1, **more)
    seen = y.mean(1, keepdim=True).expand(-1, 2) if memorised else y
    if memorised:  # a trunk with enough weights has the training rows' targets in its features
        inside = torch.cat([inside, seen[:, :1]], 1)
        features = torch.cat([features, targets.mean(1, keepdim=True).roll(1, 0)], 1)
    weight = torch.ones(400, dtype=torch.float64)
    return UnseenRows(Statistics.of(inside, seen), features, targets, weight)


def test_held_out_noise_recovers_the_noise():
    draw = torch.Generator().manual_seed(0)
    knowledge = torch.rand(20_000, generator=draw, dtype=torch.float64)
    residual = torch.randn(20_000, generator=draw, dtype=torch.float64) * (0.3 + knowledge).sqrt()
    assert held_out_noise(residual, knowledge, torch.ones(20_000)) == pytest.approx(0.3, rel=0.05)
    assert held_out_noise(torch.zeros(3), torch.zeros(3), torch.ones(3)) > 0


def test_a_weight_is_a_repetition():
    residual, knowledge = torch.tensor([1.0, 3.0, 3.0]), torch.tensor([0.1, 0.2, 0.2])
    twice = held_out_noise(residual[:2], knowledge[:2], torch.tensor([1.0, 2.0]))
    assert twice == pytest.approx(held_out_noise(residual, knowledge, torch.ones(3)))


def test_rows_left_out_of_a_fixed_trunk_have_the_noise_that_is_there():
    found = left_out_noise([left_out(memorised=False)])
    assert found.tolist() == pytest.approx([0.5, 0.125], rel=0.15)


def test_several_parts_count_together():
    parts = [left_out(memorised=False, noise=noise) for noise in (0.25, 0.75)]
    apart = [left_out_noise([part])[0].item() for part in parts]
    together = left_out_noise(parts)[0].item()
    assert together == pytest.approx(sum(apart) / 2, rel=0.02)


def test_a_trunk_that_knows_its_rows_by_heart_does_not_hide_the_noise():
    part = left_out(memorised=True)
    assert LastLayer.fit(part.inside).noise.max() < 1e-6
    spread = part.targets.var(0)
    assert (left_out_noise([part]) > 0.8 * spread).all()


@pytest.mark.parametrize("prior", [None, 2.0])
def test_the_noise_agrees_with_what_the_last_layer_then_does_not_know(prior):
    part = left_out(memorised=False)
    noise = left_out_noise([part], prior)
    found = LastLayer.fit(part.inside, prior=prior, noise=noise).predict(part.features)

    def density(factor):
        spread = (noise[0] * factor + found.knowledge[:, 0]).sqrt()
        return Normal(found.mean[:, 0], spread).log_prob(part.targets[:, 0]).sum().item()

    assert density(1.0) > max(density(0.97), density(1.03))
