"""Maxout, and units that add and multiply."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from counterpoint.derivatives import check_gradients
from counterpoint.errors import InputError
from counterpoint.nn import NAU, NMU, Maxout, sparsity
from counterpoint.parameters import named
from counterpoint.seeding import generator, seeded

X = torch.randn(6, 3, dtype=torch.float64, generator=generator(0))


def made(unit):
    with seeded(1):
        return unit().double()


def test_maxout_is_the_largest_of_its_maps():
    unit = made(lambda: Maxout(3, 2, pieces=4))
    maps = X @ unit.linear.weight.T + unit.linear.bias  # four columns a unit
    expected = torch.stack([maps[:, :4].max(1).values, maps[:, 4:].max(1).values], 1)
    torch.testing.assert_close(unit(X), expected)


def test_maxout_of_one_piece_is_linear_and_of_two_may_be_relu():
    unit = made(lambda: Maxout(3, 2, pieces=1))
    assert torch.equal(unit(X), unit.linear(X))
    relu = made(lambda: Maxout(3, 1))
    with torch.no_grad():
        relu.linear.weight[1], relu.linear.bias[1] = 0.0, 0.0
    expected = (X @ relu.linear.weight[0] + relu.linear.bias[0]).relu()
    torch.testing.assert_close(relu(X)[:, 0], expected)


def test_maxout_is_convex_along_any_line():
    unit = made(lambda: Maxout(3, 5, pieces=3))
    assert (unit((X + X.flip(0)) / 2) <= (unit(X) + unit(X.flip(0))) / 2 + 1e-12).all()


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=3, max_size=3), st.floats(-1e6, 1e6))
def test_a_wired_sum_is_that_sum_however_far(wires, scale):
    unit = NAU(3, 1).double()
    unit.weight.data = torch.tensor([wires], dtype=torch.float64)
    torch.testing.assert_close(unit(X * scale), (X * scale * torch.tensor(wires)).sum(1, True))


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=3), st.floats(-1e6, 1e6))
def test_a_wired_product_is_that_product_however_far(wires, scale):
    unit = NMU(3, 1).double()
    unit.weight.data = torch.tensor([wires], dtype=torch.float64)
    chosen = [j for j, wire in enumerate(wires) if wire]
    torch.testing.assert_close(unit(X * scale), (X * scale)[:, chosen].prod(1, keepdim=True))


@pytest.mark.parametrize(
    ("unit", "edges"), [(NAU, (-1.0, 1.0)), (NMU, (0.0, 1.0))], ids=["NAU", "NMU"]
)
def test_weights_beyond_the_range_count_as_its_edge(unit, edges):
    one = made(lambda: unit(3, 2))
    one.weight.data = 10.0 * torch.randn(2, 3, dtype=torch.float64, generator=generator(3))
    assert set(one.wiring.flatten().tolist()) <= {*edges, *one.weight.flatten().tolist()}
    outside, inside = one(X), made(lambda: unit(3, 2))
    inside.weight.data = one.weight.detach().clamp(*edges)
    assert torch.equal(outside, inside(X))


@pytest.mark.parametrize("unit", [lambda: Maxout(3, 2), lambda: NAU(3, 2), lambda: NMU(3, 2)])
def test_gradients_are_those_of_differences(unit):
    one = made(unit)
    assert check_gradients(lambda: one(X).square().sum(), named(one)).ok


@pytest.mark.parametrize("unit", [NAU, NMU])
def test_the_goal_of_sparsity_is_the_papers(unit):
    one = made(lambda: unit(2, 2))
    one.weight.data = torch.tensor([[0.9, 0.5], [-0.2, 1.3]]).double()
    assert sparsity(one).item() == pytest.approx((0.1 + 0.5 + 0.2 + 0.3) / 4)
    sparsity(one).backward()
    signs = torch.tensor([[-1.0, -1.0], [-1.0, 1.0]]).double() / 4  # 1.3 is brought back
    assert torch.equal(one.weight.grad[:, [0]], signs[:, [0]])
    assert one.weight.grad[1, 1] == signs[1, 1]


def test_sparsity_adds_over_the_units_of_a_model():
    model = made(lambda: nn.Sequential(NAU(3, 2), nn.ReLU(), NMU(2, 1), nn.Linear(1, 1)))
    assert sparsity(model).item() == pytest.approx(
        sparsity(model[0]).item() + sparsity(model[2]).item()
    )
    with pytest.raises(InputError, match="no NAU or NMU"):
        sparsity(nn.Linear(2, 2))


def test_initial_weights_are_the_papers():
    with seeded(0):
        add, multiply = NAU(100, 50), NMU(100, 50)
    assert add.weight.var().item() == pytest.approx(2 / 150, rel=0.05)
    assert 0.25 <= multiply.weight.min().item() < multiply.weight.max().item() <= 0.75
    assert NAU(2, 1).weight.abs().max().item() <= 0.5


def test_products_outside_the_range_are_refused_in_a_sentence():
    unit = NMU(40, 1)
    unit.weight.data.fill_(1.0)
    with pytest.raises(InputError, match="40 inputs of up to 1e\\+06 is beyond the range of float"):
        unit(torch.full((2, 40), 1e6))
    assert unit.double()(torch.full((2, 40), 1e6).double()).isfinite().all()
    with pytest.raises(InputError, match="inputs must be finite, found nan"):
        NMU(2, 1)(torch.tensor([[1.0, float("nan")]]))


@pytest.mark.parametrize("wrong", [lambda: Maxout(3, 2, 0), lambda: NAU(0, 1), lambda: NMU(2, 0)])
def test_units_of_nothing_are_refused(wrong):
    with pytest.raises(InputError, match="at least 1"):
        wrong()
