"""The sketch of the weights: its size, its scale, its randomness."""

import pytest
import torch
from torch import nn

from counterpoint.balance.monitor import Positions
from counterpoint.errors import InputError


def made(seed):
    return torch.Generator().manual_seed(seed)


def squares(model, draws, **how):
    """|p(theta) - p(0)|^2 for many sketches; p is linear, so p(0) = 0."""
    return torch.stack([Positions(model, made(seed), **how)().square().sum() for seed in draws])


@pytest.mark.parametrize("sampled", [50, 300, 100_000])
def test_square_lengths_are_right_on_average(sampled):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 5))
    found = squares(model, range(600), size=16, sampled=sampled)
    exact = sum(float(weight.detach().square().sum()) for weight in model.parameters())
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / 600**0.5


def test_a_large_tensor_is_drawn_from_with_repetition_and_stays_unbiased():
    torch.manual_seed(0)
    model = nn.Linear(1000, 1)
    found = squares(model, range(600), size=8, sampled=20)
    exact = sum(float(weight.detach().square().sum()) for weight in model.parameters())
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / 600**0.5


def test_a_small_model_is_its_own_sketch():
    model = nn.Linear(3, 2)
    sketch = Positions(model, made(0))()
    exact = torch.cat([model.weight.flatten(), model.bias]).detach().double()
    assert sketch.shape == (64,)
    assert sketch.dtype == torch.float64
    assert torch.equal(sketch[:8], exact)
    assert not sketch[8:].any()


def test_it_is_linear():
    model = nn.Linear(100, 10)
    positions = Positions(model, made(0))
    before = positions()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(-2)
    assert torch.allclose(positions(), -2 * before)
    assert not positions().requires_grad


def test_frozen_and_integer_weights_are_left_out():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    model[0].requires_grad_(False)
    model.steps = nn.Parameter(torch.tensor([7]), requires_grad=False)
    positions = Positions(model, made(0))
    before = positions()
    with torch.no_grad():
        model[0].weight.add_(1)
    assert torch.equal(positions(), before)
    with torch.no_grad():
        model[1].weight.add_(1)
    assert not torch.equal(positions(), before)


def test_tied_transposed_and_half_precision_weights():
    model = nn.Module()
    model.first = nn.Parameter(torch.randn(40, 30, generator=made(1)).T)
    model.second = model.first
    model.third = nn.Parameter(torch.randn(50, generator=made(2)).bfloat16())
    found = squares(model, range(300), size=32)
    exact = float(model.first.detach().square().sum() + model.third.detach().float().square().sum())
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / 300**0.5


def test_the_seed_is_the_whole_state():
    model = nn.Linear(100, 100)
    first, second = Positions(model, made(0)), Positions(model, made(1))
    assert not torch.equal(first(), second())
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(), second())
    assert first.state_dict().keys() == {"seed"}
    with pytest.raises(InputError, match="'seed'"):
        second.load_state_dict({})


def test_the_global_random_state_is_not_touched():
    before = torch.random.get_rng_state()
    Positions(Weights(), made(0))()
    assert torch.equal(torch.random.get_rng_state(), before)


class Weights(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(500))


@pytest.mark.parametrize("wrong", [{"size": 0}, {"sampled": -1}])
def test_sizes_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match="must be positive"):
        Positions(nn.Linear(2, 2), made(0), **wrong)


def test_a_model_with_nothing_to_train_is_refused():
    with pytest.raises(InputError, match="no weight that requires a gradient"):
        Positions(nn.ReLU(), made(0))
